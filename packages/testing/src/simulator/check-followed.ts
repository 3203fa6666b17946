/** Whether those who followed a task while things failed saw what is there at the end. Pure. */
import type { SeenEvent } from "./seen-event.js";

/** What one follower was given, over all its connections. */
export interface Followed {
  readonly taskId: string;
  readonly events: readonly SeenEvent[];
  /** The stream came to its end. */
  readonly hasEnded: boolean;
}

/** Says what is wrong; empty when nothing is. */
export function checkFollowed(followed: Followed, events: readonly SeenEvent[]): readonly string[] {
  const seen = followed.events;
  const at = seen.findIndex((event, index) => !isSame(event, events[index]));
  if (at !== -1) {
    return [
      `was followed: event ${seen[at]?.seq} (${seen[at]?.kind}) came at place ${at + 1}, and is not what is there now`,
    ];
  }
  if (!followed.hasEnded) return [`was followed: ${seen.length} of ${events.length} events came, and no end`];
  const hasReopened = events.some(({ state }) => state === "indeterminate");
  if (seen.length < events.length && !hasReopened) {
    return [`was followed to its end, and only ${seen.length} of ${events.length} events came`];
  }
  return [];
}

function isSame(left: SeenEvent, right: SeenEvent | undefined): boolean {
  return (
    right !== undefined &&
    left.seq === right.seq &&
    left.kind === right.kind &&
    left.state === right.state &&
    left.attempt === right.attempt &&
    left.text === right.text
  );
}
