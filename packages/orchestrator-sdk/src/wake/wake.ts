/**
 * Wake-ups: "something under this name may have changed, look again". Truth is in the store; a lost wake-up costs a look,
 * never data.
 */

/** What a wake-up may be about. */
export type WakeTopic = `task:${string}` | `user:${string}` | `node:${string}` | "place";

/** Tells readers when to look again. */
export interface Wake {
  /** Wakes everybody who listens to one of the topics. */
  wake(...topics: WakeTopic[]): void;
  /** Calls `listener` at each wake-up until the returned function is called. */
  listen(topic: WakeTopic, listener: () => void): () => void;
}
