/**
 * The conformance suite of {@link HubStore}: a list of cases for any test runner.
 *
 * ```ts
 * for (const c of hubStoreConformance(openMyStore, { durable: true, shared: false, reopen })) it(c.name, c.run);
 * ```
 */
import assert from "node:assert/strict";
import type { HubStore, StoreCapabilities } from "../store/store.js";
import type { ConformanceCase, StoreCase, StoreHooks } from "./conformance-case.js";
import { lifecycleCases } from "./lifecycle-cases.js";
import { taskCases } from "./task-cases.js";
import { transactionCases } from "./transaction-cases.js";
import { valueCases } from "./value-cases.js";

/** Opens a fresh, empty store; called once for each case. */
export type OpenHubStore = () => Promise<HubStore>;

/** What a store claims, and what it takes to try the claims. */
export interface HubStoreClaims extends StoreCapabilities, Partial<StoreHooks> {}

/**
 * Lists the cases that every {@link HubStore} must pass, given what it claims.
 *
 * @throws TypeError when a claim comes without its hook: `durable` needs `reopen`, `shared` needs `openSecond`.
 */
export function hubStoreConformance(open: OpenHubStore, claims: HubStoreClaims): ConformanceCase[] {
  const { durable, shared, reopen = missing("reopen"), openSecond = missing("openSecond") } = claims;
  if (durable && !claims.reopen) throw new TypeError("a durable store needs the hook `reopen`");
  if (shared && !claims.openSecond) throw new TypeError("a shared store needs the hook `openSecond`");
  const cases: readonly StoreCase[] = [...transactionCases, ...valueCases, ...taskCases, ...lifecycleCases];
  return cases
    .filter(({ needs }) => needs === undefined || claims[needs])
    .map(({ name, run }) => ({
      name,
      run: async () => {
        await using store = await open();
        assert.deepEqual({ ...store.capabilities }, { durable, shared }, "the store claims what the suite tests");
        await run(store, { reopen, openSecond });
      },
    }));
}

function missing(hook: keyof StoreHooks): () => Promise<HubStore> {
  return () => Promise.reject(new TypeError(`the hook \`${hook}\` is missing`));
}
