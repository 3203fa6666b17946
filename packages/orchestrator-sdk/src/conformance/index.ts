/**
 * Conformance suites for the contracts of a hub, runnable under any test runner.
 *
 * @packageDocumentation
 */
export type { ConformanceCase, StoreHooks } from "./conformance-case.js";
export { type HubStoreClaims, hubStoreConformance, type OpenHubStore } from "./hub-store-conformance.js";
