/** Makes ids. Apart from `ids.ts`, which must load in every runtime: the random source here is the system's. */
import { monotonicFactory } from "ulid";
import type { IdKinds, IdPrefix, IdSource } from "./ids.js";

/** Rises also within one millisecond: lists are in id order, and tasks are placed in it. */
const nextUlid = monotonicFactory();

/** Ids from the wall clock and the system's random source. */
export const systemIds: IdSource = {
  next: <P extends IdPrefix>(prefix: P) => `${prefix}_${nextUlid()}` as IdKinds[P],
};
