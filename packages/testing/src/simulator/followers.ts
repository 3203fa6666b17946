/** Users who follow tasks while things fail: they lose their connections, go away, come back and resume by their cursor. */
import { isCortexError } from "@cortex-mesh/protocol";
import type { World } from "../mesh/world.js";
import type { SeededRandom } from "../random.js";
import type { Followed } from "./check-followed.js";
import type { Figures } from "./figures.js";
import { type SeenEvent, toSeenEvent } from "./seen-event.js";

/** How many of the tasks are followed. */
const FOLLOWED_RATIO = 0.3;
/** How often a follower goes away after an event. */
const LEAVE_RATIO = 0.08;
const AGAIN_MIN_MS = 50;
const AGAIN_MAX_MS = 1_500;
/** A follower comes within this time after the task was accepted, in milliseconds. */
const COMES_WITHIN_MS = 8_000;

/** The followers of a history. */
export interface Followers {
  /** Perhaps somebody follows the task from now on. */
  offer(taskId: string): void;
  readonly followed: readonly Followed[];
}

/** What followers work with. */
export interface FollowersOptions {
  readonly world: World;
  readonly user: string;
  readonly random: SeededRandom;
  readonly figures: Figures;
  readonly onFault: (taskId: string, what: string) => void;
}

interface Follower extends Followed {
  readonly events: SeenEvent[];
  hasEnded: boolean;
}

/** Makes the followers of a history. */
export function createFollowers(options: FollowersOptions): Followers {
  const { world, random, figures } = options;
  const followed: Follower[] = [];
  return {
    followed,
    offer(taskId) {
      if (!random.chance(FOLLOWED_RATIO)) return;
      figures.count("followed");
      const follower: Follower = { taskId, events: [], hasEnded: false };
      followed.push(follower);
      world.clock.setTimer(() => void follow(options, follower), random.between(0, COMES_WITHIN_MS));
    },
  };
}

async function follow(options: FollowersOptions, follower: Follower): Promise<void> {
  const { world, random, figures, onFault } = options;
  while (!follower.hasEnded) {
    if (follower.events.length > 0) figures.count("follower resumed");
    try {
      await visit(options, follower);
    } catch (error) {
      if (!isCortexError(error) || error.code !== "UNAVAILABLE") {
        onFault(follower.taskId, `could not be followed: ${String(error)}`);
        return;
      }
    }
    if (follower.hasEnded) return;
    const afterMs = random.between(AGAIN_MIN_MS, AGAIN_MAX_MS);
    await new Promise<void>((resolve) => void world.clock.setTimer(resolve, afterMs));
  }
}

/** One connection: until the stream ends, the follower leaves or the hub dies. */
async function visit({ world, user, random }: FollowersOptions, follower: Follower): Promise<void> {
  const { taskId, events } = follower;
  await world.hub.enter(async (core) => {
    // What a hub that died still had on its way reaches nobody.
    const isGone = (): boolean => !world.hub.isUp || world.hub.core !== core;
    const after = events.at(-1)?.seq ?? 0;
    for await (const event of core.as(user).followTask({ taskId, after })) {
      if (isGone()) return;
      events.push(toSeenEvent(event));
      if (random.chance(LEAVE_RATIO)) return;
    }
    if (!isGone()) follower.hasEnded = true;
  });
}
