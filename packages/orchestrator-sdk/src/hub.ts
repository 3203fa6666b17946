/**
 * A hub in this process: store, identity, the gRPC address that nodes dial, and an API for its users.
 *
 * @example
 * ```ts
 * await using hub = await createHub({ data: "data", grpc: 50051 });
 * const alice = hub.as("alice");
 * const { command } = await alice.createInvite({});
 * ```
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, CortexError, type HubId, type IdSource, systemClock, systemIds } from "@cortex-mesh/protocol";
import type { StrangerLimits } from "@cortex-mesh/protocol/grpc";
import { createCaller } from "./access/caller.js";
import { type DataLock, takeDataLock } from "./data-lock.js";
import { createHttpHandler, type FetchHandler } from "./http/handler.js";
import { type HttpServer, serveHttp } from "./http/serve.js";
import { closeOnce } from "./hub-close.js";
import { openHubCore } from "./hub-core.js";
import { watchCommits } from "./hub-events.js";
import { createSafeLogger, type HubLogger, SILENT_LOGGER } from "./hub-logger.js";
import type { HubParts } from "./hub-parts.js";
import { LEASE_MS } from "./link/report-health.js";
import { createLinkServer } from "./link/serve.js";
import { type HubMetrics, type MetricsPage, SILENT_METRICS } from "./metrics/hub-metrics.js";
import { createPrometheusMetrics } from "./metrics/prometheus.js";
import { openCertificates } from "./nodes/certificates.js";
import { type Api, createApi } from "./operations/api.js";
import type { OperationTable } from "./operations/operation.js";
import { type Operations, operations } from "./operations/table.js";
import { openSqliteStore } from "./store/sqlite/sqlite-store.js";
import type { HubStore } from "./store/store.js";
import { checkDeadlines, type DeadlineOptions } from "./tasks/deadlines.js";
import { openOutputFiles } from "./tasks/output-files.js";

/** A user as the host's own authentication names it. */
export interface HostUser {
  /** `[A-Za-z0-9._-]{1,128}`, no leading dot; opaque to Cortex. */
  readonly userId: string;
  readonly groups?: readonly string[] | undefined;
}

/** Which figures a hub keeps, and who gets them. */
export interface HubMetricsOptions {
  /** Answers `GET /metrics` to everybody who can connect; no figure names a user, a node or a task. @default true */
  readonly isServed?: boolean | undefined;
  /** Also figures of the process: event loop, memory, garbage, descriptors. For one hub a process. @default false */
  readonly hasProcess?: boolean | undefined;
}

/** How a hub is made. */
export interface HubOptions<Extra extends OperationTable = Record<never, never>> {
  /** Directory of everything the hub keeps; made when missing, mode 0700. */
  readonly data: string;
  /** Port on loopback, or `host:port`, that nodes dial; 0 picks a free port. @default 0 */
  readonly grpc?: number | string | undefined;
  /** Port on loopback, or `host:port`, of the HTTP API; without it none is opened and {@link Hub.fetch} serves. */
  readonly http?: number | string | undefined;
  /** The gRPC address written into invites. @default the bound one */
  readonly advertise?: string | undefined;
  /** Says who an HTTP request is from; `undefined` for nobody. Without it HTTP answers 401 to everything. */
  readonly authenticate?: ((request: Request) => Promise<HostUser | undefined> | HostUser | undefined) | undefined;
  /** Serves plain HTTP on an address that is not loopback; put TLS in front of it. @default false */
  readonly allowPlainHttp?: boolean | undefined;
  /** The lock of `data`, when the caller holds it already; the hub gives it up when it closes. @default taken */
  readonly lock?: DataLock | undefined;
  /** @default a SQLite file in `data` */
  readonly store?: HubStore | undefined;
  /** Operations of your own, in the API and over HTTP beside the built-in ones. */
  readonly operations?: Extra | undefined;
  /** What peers may take that have not shown who they are; higher for many nodes behind one address. */
  readonly strangers?: Partial<StrangerLimits> | undefined;
  /** How long silence of a node is borne. */
  readonly deadlines?: DeadlineOptions | undefined;
  /** @default none */
  readonly logger?: HubLogger | undefined;
  /** Figures for Prometheus; false keeps none. @default kept, and served at `/metrics` */
  readonly metrics?: HubMetricsOptions | false | undefined;
  readonly clock?: Clock | undefined;
  readonly ids?: IdSource | undefined;
}

/** A running hub. */
export interface Hub<Extra extends OperationTable = Record<never, never>> extends AsyncDisposable {
  readonly hubId: HubId;
  /** `http://host:port`, when one is served. */
  readonly httpUrl: string | undefined;
  /** `host:port` that nodes dial. */
  readonly grpcAddress: string;
  readonly store: HubStore;
  /** The API as one user. @throws CortexError `BAD_NAME` when the name is not a user id. */
  as(userId: string, options?: { readonly groups?: readonly string[] }): Api<Operations & Extra>;
  /** Answers one HTTP request; mount it where you like. */
  fetch(request: Request): Promise<Response>;
  /** All figures as they are now, in the text format of Prometheus; no text when none are kept. */
  metrics(): Promise<MetricsPage>;
  /** Stops taking requests and nodes; running tasks go on at their nodes. Idempotent. */
  close(): Promise<void>;
}

const DATABASE_FILE = "hub.db";

/**
 * Starts a hub. What was unfinished when it last stopped goes on.
 *
 * @throws CortexError `STATE_IN_USE` when another hub has the data directory, `UNAVAILABLE` when an address is taken,
 * `DATA_CORRUPT` when the data are damaged.
 * @throws RangeError when one of `deadlines` is out of its range.
 */
export async function createHub<Extra extends OperationTable = Record<never, never>>(
  options: HubOptions<Extra>,
): Promise<Hub<Extra>> {
  checkDeadlines(options.deadlines, LEASE_MS);
  const undo: (() => Promise<unknown> | unknown)[] = [];
  try {
    return await start(options, undo);
  } catch (error) {
    for (const step of undo.reverse()) {
      try {
        await step();
      } catch {
        // Why the hub did not start is told, not what followed from it.
      }
    }
    throw error;
  }
}

async function start<Extra extends OperationTable>(
  options: HubOptions<Extra>,
  undo: (() => Promise<unknown> | unknown)[],
): Promise<Hub<Extra>> {
  const { data, clock = systemClock, ids = systemIds, logger: given = SILENT_LOGGER } = options;
  const logger = createSafeLogger(given);
  await mkdir(data, { recursive: true, mode: 0o700 });
  const lock = options.lock ?? takeDataLock(data);
  undo.push(() => lock.release());
  const metrics = options.metrics === false ? SILENT_METRICS : createPrometheusMetrics(options.metrics);
  const onCommit = watchCommits({ logger, metrics });
  const store = options.store ?? (await openSqliteStore({ path: join(data, DATABASE_FILE), onCommit }));
  // A store that was passed in belongs to its owner.
  const ownStore = options.store === undefined ? store : undefined;
  undo.push(() => ownStore?.close());
  let grpcAddress = "";
  let tls = { certPem: "", keyPem: "" };
  const core = await openHubCore({
    store,
    files: await openOutputFiles(join(data, "output")),
    clock,
    ids,
    logger: given,
    metrics,
    deadlines: options.deadlines,
    locate: async ({ hubId }) => {
      const certificates = await openCertificates({ directory: join(data, "ca"), hubId, clock });
      const { caPem, caFingerprint, keyPem } = certificates;
      tls = { certPem: certificates.chainPem, keyPem };
      return { caPem, endpoint: () => ({ address: options.advertise ?? grpcAddress, caFingerprint }) };
    },
  });
  undo.push(() => core.close());
  await core.start();
  const server = createLinkServer({ ...core, tls, strangers: options.strangers });
  undo.push(() => server.forceClose());
  const grpcHost = hostOf(options.grpc);
  grpcAddress = `${grpcHost.host}:${await server.listen(`${grpcHost.host}:${grpcHost.port}`)}`;

  const table = { ...operations, ...options.operations } as Operations & Extra;
  const closing = new AbortController();
  const fetch = createFetch(options, { table, parts: core, closing: closing.signal, logger, metrics });
  const http = options.http === undefined ? undefined : await serveApi(fetch, options);
  const close = closeOnce({ closing, http, server, parts: core, store: ownStore, lock });
  return {
    hubId: core.authority.hubId,
    httpUrl: http?.url,
    grpcAddress,
    store,
    as: (userId, { groups } = {}) => createApi(table, core.services, createCaller(userId, groups)),
    fetch,
    metrics: () => metrics.read(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function createFetch(
  options: HubOptions<OperationTable>,
  made: {
    readonly table: OperationTable;
    readonly parts: HubParts;
    readonly closing: AbortSignal;
    readonly logger: HubLogger;
    readonly metrics: HubMetrics;
  },
): FetchHandler {
  const { logger, metrics } = made;
  const { metrics: asked } = options;
  return createHttpHandler({
    table: made.table,
    services: made.parts.services,
    closing: made.closing,
    authenticate: async (request) => {
      const user = await options.authenticate?.(request);
      return user === undefined ? undefined : createCaller(user.userId, user.groups);
    },
    isReady: () => !made.closing.aborted,
    onFault: (error, request) => logger.error({ err: error, ...request }, "a request failed"),
    onAnswered(request) {
      metrics.requestAnswered(request);
      logger.debug({ ...request, durationMs: Math.round(request.durationMs) }, "a request was answered");
    },
    onReader: () => metrics.readerOpened("sse"),
    readMetrics: asked === false || asked?.isServed === false ? undefined : () => metrics.read(),
  });
}

function serveApi(fetch: FetchHandler, options: HubOptions<OperationTable>): Promise<HttpServer> {
  return serveHttp({ fetch, ...hostOf(options.http), canLeaveLoopback: options.allowPlainHttp ?? false });
}

/** `host` and `port` of an address option; a bare port is on loopback. */
function hostOf(address: number | string | undefined): { readonly host: string; readonly port: number } {
  if (address === undefined || typeof address === "number") return { host: "127.0.0.1", port: address ?? 0 };
  const colon = address.lastIndexOf(":");
  const port = Number(address.slice(colon + 1));
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  if (colon < 1 || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new CortexError("BAD_REQUEST", `"${address}" is not HOST:PORT`);
  }
  return { host: address.startsWith("[") ? `[${host}]` : host, port };
}
