/**
 * How a tree ends: by itself, or because it is told to. Either way once, and wholly.
 *
 * - The first process ends by itself: whatever it leaves behind is killed at once, as a process namespace would do.
 * - It is terminated: TERM to all, KILL to what is left after the grace; a later call may shorten the grace.
 */
import type { Clock, Timer } from "@cortex-mesh/protocol";
import type { ProcessTree } from "./process-tree.js";

/** Time between TERM and KILL, in milliseconds. */
export const DEFAULT_GRACE_MS = 5_000;
/** Pauses between looks at a tree that was told to end: short at first, since most end at once. */
const MIN_LOOK_MS = 10;
const MAX_LOOK_MS = 200;

/** The one end of a tree. Each method gives how many processes could not be ended. */
export interface TreeEnd {
  /** Tells that the first process ended and was waited for. */
  rootExited(): Promise<number>;
  /** Ends the tree; joins an end that is under way. */
  terminate(graceMs?: number): Promise<number>;
}

/** Makes the end of a tree. */
export function createTreeEnd(tree: ProcessTree, clock: Clock): TreeEnd {
  let ending: Promise<number> | undefined;
  let killAtMs = Number.POSITIVE_INFINITY;
  let isRootGone = false;
  let wake = (): void => {};

  const waitAtMost = (delayMs: number): Promise<void> =>
    new Promise((resolve) => {
      let timer: Timer | undefined;
      wake = () => {
        timer?.cancel();
        resolve();
      };
      timer = clock.setTimer(wake, delayMs);
    });

  const terminateTree = async (): Promise<number> => {
    if (killAtMs > clock.monotonicMs()) {
      tree.signal("SIGTERM");
      // A stopped process takes TERM only when it goes on.
      tree.signal("SIGCONT");
    }
    for (let lookMs = MIN_LOOK_MS; ; lookMs = Math.min(lookMs * 2, MAX_LOOK_MS)) {
      const leftMs = killAtMs - clock.monotonicMs();
      if (leftMs <= 0 || (isRootGone && !tree.hasMembers())) break;
      await waitAtMost(Math.min(lookMs, leftMs));
    }
    return await tree.kill();
  };

  return {
    rootExited() {
      isRootGone = true;
      tree.markRootGone();
      ending ??= tree.kill();
      wake();
      return ending;
    },
    terminate(graceMs = DEFAULT_GRACE_MS) {
      killAtMs = Math.min(killAtMs, clock.monotonicMs() + graceMs);
      ending ??= terminateTree();
      wake();
      return ending;
    },
  };
}
