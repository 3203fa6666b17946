/** The form of a conformance case, which fits any test runner. */
import type { HubStore } from "../store/store.js";

/** One promise of a contract. Works with any runner: `it(c.name, c.run)`. */
export interface ConformanceCase {
  /** Stable id, then the promise in words; quote the id when a case is waived. */
  readonly name: string;
  /** Resolves when the promise holds. */
  readonly run: () => Promise<void>;
}

/** A case before it is bound to a store. */
export interface StoreCase {
  readonly name: string;
  /** A claim that the case is about; without the claim it is left out. */
  readonly needs?: "durable" | "shared";
  readonly run: (store: HubStore, hooks: StoreHooks) => Promise<void>;
}

/** What some cases do to a store besides calling it. */
export interface StoreHooks {
  /** Ends the store as a crash would (no close) and opens what is left. */
  readonly reopen: (store: HubStore) => Promise<HubStore>;
  /** Opens another handle on the same data. */
  readonly openSecond: (store: HubStore) => Promise<HubStore>;
}
