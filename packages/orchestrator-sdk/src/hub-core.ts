/**
 * The core of a hub: everything but its sockets. Runs on a store, files for output, a clock and links, and so serves a hub
 * in production and one in a test that moves time by hand.
 */
import type { Clock, IdSource } from "@cortex-mesh/protocol";
import { createCaller } from "./access/caller.js";
import type { HubLogger } from "./hub-logger.js";
import { createHubParts, type HubParts } from "./hub-parts.js";
import type { HubMetrics } from "./metrics/hub-metrics.js";
import { type HubAuthority, openAuthority } from "./nodes/authority.js";
import type { HubEndpoint } from "./nodes/invites.js";
import { type RandomSource, systemRandom } from "./nodes/random.js";
import { type Api, createApi } from "./operations/api.js";
import { type Operations, operations } from "./operations/table.js";
import type { HubStore } from "./store/store.js";
import type { DeadlineOptions } from "./tasks/deadlines.js";
import type { OutputFiles } from "./tasks/output-files.js";

/** What depends on the hub's id. */
export interface HubLocation {
  /** PEM of the CA that nodes pin; undefined with a public certificate. */
  readonly caPem: string | undefined;
  /** Where nodes find the hub; asked for each invite. */
  readonly endpoint: () => HubEndpoint;
}

/** What a core is made of. */
export interface HubCoreOptions {
  readonly store: HubStore;
  /** Where the bytes of task output go; closed with the core. */
  readonly files: OutputFiles;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly logger: HubLogger;
  /** @default none are kept */
  readonly metrics?: HubMetrics | undefined;
  /** Makes what depends on the hub's id, once it is known: where nodes find it, and which CA they pin. */
  readonly locate: (authority: HubAuthority) => Promise<HubLocation>;
  readonly deadlines?: DeadlineOptions | undefined;
  /** Where keys, secrets and nonces come from. @default the system's random source */
  readonly random?: RandomSource | undefined;
}

/** A hub without sockets. */
export interface HubCore extends HubParts {
  readonly authority: HubAuthority;
  /** The API as one user. */
  as(userId: string): Api<Operations>;
}

/** Opens a core; `start` takes up what the store says is unfinished. */
export async function openHubCore(options: HubCoreOptions): Promise<HubCore> {
  const { store, ids, random = systemRandom } = options;
  const authority = await openAuthority({ store, ids, random });
  const { caPem, endpoint } = await options.locate(authority);
  const parts = createHubParts({ ...options, random, authority, caPem, endpoint });
  return { ...parts, authority, as: (userId) => createApi(operations, parts.services, createCaller(userId)) };
}
