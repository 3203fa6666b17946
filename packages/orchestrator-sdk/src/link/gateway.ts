/**
 * Where nodes come in: registration, then one control, one health and any number of log streams for each connection.
 *
 * Knows streams only as {@link Link}s, so that the same code serves gRPC and a simulator. Who is calling was proven before:
 * every call carries the verified token.
 */
import { create } from "@bufbuild/protobuf";
import {
  type Clock,
  CortexError,
  isCortexError,
  type Link,
  negotiateVersion,
  type NodeId,
  type Policy,
  policyBytes,
  policyHash,
  type SigningKey,
  SUPPORTED_PROTOCOL,
  CORTEX_VERSION,
} from "@cortex-mesh/protocol";
import {
  PolicyMode,
  type RegistrationRequest,
  type RegistrationResponse,
  RegistrationResponseSchema,
} from "@cortex-mesh/protocol/gen";
import { systemScope } from "../access/scope.js";
import { appendFeed } from "../feed/feed-service.js";
import type { NodeConnections } from "../nodes/connections.js";
import type { NodeRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { TaskWriter } from "../tasks/commit.js";
import type { InputRelay } from "../tasks/input.js";
import type { OutputReceiver } from "../tasks/output.js";
import type { TaskReports } from "../tasks/reports.js";
import type { Wake } from "../wake/wake.js";
import { createHubConnection, type HubConnection } from "./hub-connection.js";
import { attachLogs } from "./log-stream.js";
import { createOutgoing } from "./outgoing.js";
import { attachHealth, HEARTBEAT_INTERVAL_MS, LEASE_MS } from "./report-health.js";
import { createTaskStreamHandler } from "./task-stream.js";
import { readCapabilities } from "./wire.js";

/** A node's finished attempts may be forgotten after this time. */
export const FORGET_AFTER_MS = 24 * 60 * 60_000;
/** Tasks at once that a node may ask for. */
const MAX_TASKS_A_NODE = 4096;

/** What the token of a call proved. */
export interface NodeCredentials {
  readonly nodeId: NodeId;
  readonly epoch: number;
}

/** Where nodes come in. */
export interface NodeGateway {
  /** @throws {@link CortexError} `VERSION_UNSUPPORTED`, `NODE_REVOKED`, `SUPERSEDED`, `BAD_REQUEST` */
  register(credentials: NodeCredentials, request: RegistrationRequest): Promise<RegistrationResponse>;
  openTasks(credentials: NodeCredentials, link: Link): void;
  openHealth(credentials: NodeCredentials, link: Link): void;
  openLogs(credentials: NodeCredentials, link: Link): void;
  /** Closes every connection with a goodbye that spreads the nodes' return. */
  close(): Promise<void>;
}

/** What the gateway works with. */
export interface GatewayOptions {
  readonly store: HubStore;
  readonly connections: NodeConnections;
  readonly writer: TaskWriter;
  readonly reports: TaskReports;
  readonly output: OutputReceiver;
  readonly input: InputRelay;
  readonly wake: Wake;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly hubId: string;
  readonly grantKey: SigningKey;
  readonly policy: Policy;
  readonly onError: (error: unknown) => void;
}

/** Makes the gateway of a hub. */
export function createGateway(options: GatewayOptions): NodeGateway {
  const { connections, writer, clock } = options;
  const policyJson = policyBytes(options.policy);
  const policySha256 = policyHash(options.policy);
  const registered = new Map<NodeId, HubConnection>();
  const ending = new Set<Promise<void>>();

  writer.onCommit((before, after) => {
    // A task that left a node concerns that node as well: its cancel is not needed any more.
    for (const nodeId of new Set([before?.nodeId, after.nodeId])) {
      if (nodeId !== undefined) connections.get(nodeId)?.noteTask(after);
    }
  });

  const find = (credentials: NodeCredentials): HubConnection => {
    const connection = registered.get(credentials.nodeId);
    if (connection === undefined || connection.epoch !== credentials.epoch) {
      throw new CortexError("SUPERSEDED", "the connection is not registered, or a newer one took its place");
    }
    return connection;
  };
  /** A stream that cannot be attached is closed with the reason; a stream's fault never reaches the others. */
  const attach = (credentials: NodeCredentials, link: Link, how: (connection: HubConnection) => void): void => {
    try {
      how(find(credentials));
    } catch (error) {
      link.close(isCortexError(error) ? error : new CortexError("INTERNAL", "the stream could not be opened", { cause: error }));
    }
  };
  const onReady = async (connection: HubConnection): Promise<void> => {
    await recordPresence(options, connection, "online");
    options.wake.wake("place");
  };
  const onEnd = async (connection: HubConnection): Promise<void> => {
    if (registered.get(connection.nodeId) === connection) registered.delete(connection.nodeId);
    if (!connections.remove(connection)) return;
    await disconnectTasks(options, connection);
    await recordPresence(options, connection, "offline");
  };

  return {
    async register(credentials, request) {
      const protocolVersion = negotiateVersion(SUPPORTED_PROTOCOL, { min: request.protocolMin, max: request.protocolMax });
      const node = await recordRegistration(options, credentials, request);
      const connection = createHubConnection({
        nodeId: node.nodeId,
        ownerId: node.ownerId,
        epoch: credentials.epoch,
        bootId: request.bootId,
        sessionNonce: Uint8Array.from(request.sessionNonce),
        connectedAtMs: clock.nowMs(),
        maxTasks: node.maxTasks,
      });
      connections.add(connection);
      registered.set(node.nodeId, connection);
      void connection.closed.then(() => {
        const work: Promise<void> = onEnd(connection).catch(options.onError).finally(() => ending.delete(work));
        ending.add(work);
      });
      return create(RegistrationResponseSchema, {
        protocolVersion,
        epoch: BigInt(credentials.epoch),
        policy: {
          mode: options.policy.mode === "strict" ? PolicyMode.STRICT : PolicyMode.PERMISSIVE,
          canonicalJson: policyJson,
          sha256: policySha256,
          revision: 1n,
        },
        grantKeys: [{ keyId: options.grantKey.keyId, publicKey: options.grantKey.publicKey }],
        heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS,
        leaseMs: LEASE_MS,
        hubTimeMs: BigInt(clock.nowMs()),
        hubVersion: CORTEX_VERSION,
        forgetBeforeMs: BigInt(clock.nowMs() - FORGET_AFTER_MS),
      });
    },
    openTasks: (credentials, link) =>
      attach(credentials, link, (connection) => {
        const outgoing = createOutgoing(connection, { ...options, policySha256 });
        connection.attachTasks(link, createTaskStreamHandler(connection, outgoing, { ...options, onReady }));
      }),
    openHealth: (credentials, link) => attach(credentials, link, (connection) => attachHealth(connection, link, { clock })),
    openLogs: (credentials, link) => attach(credentials, link, (connection) => attachLogs(connection, link, options.output)),
    async close() {
      const open = [...registered.values()];
      // Spread over 2 ms a node, so that a restarted hub is not met by all of them at once.
      const spreadMs = Math.min(30_000, open.length * 2);
      for (const [index, connection] of open.entries()) {
        const reconnectAfterMs = Math.round((spreadMs * index) / open.length);
        connection.send({ case: "goodbye", value: { reason: "the hub is stopping", reconnectAfterMs } });
        connection.close(new CortexError("UNAVAILABLE", "the hub is stopping"));
      }
      while (ending.size > 0) await Promise.all(ending);
    },
  };
}

/** Writes what a node says of itself; the epoch of the token has to be the newest one. */
async function recordRegistration(options: GatewayOptions, credentials: NodeCredentials, request: RegistrationRequest): Promise<NodeRecord> {
  if (request.nodeId !== credentials.nodeId) throw new CortexError("UNAUTHENTICATED", "the token is for another node");
  if (request.sessionNonce.byteLength !== 16) throw new CortexError("BAD_REQUEST", "the session nonce has 16 bytes");
  const nowMs = options.clock.nowMs();
  return options.store.transaction(async (tx) => {
    const node = await tx.nodes.get(systemScope, credentials.nodeId);
    if (node === undefined) throw new CortexError("UNAUTHENTICATED", "the node is not known to this hub; invite it again");
    if (node.revokedAtMs !== undefined) throw new CortexError("NODE_REVOKED", "the node was revoked by its owner");
    if (node.epoch !== credentials.epoch) throw new CortexError("SUPERSEDED", "a newer connection of the node took over");
    const updated: NodeRecord = {
      ...node,
      revision: node.revision + 1,
      bootId: request.bootId,
      sessionNonce: Buffer.from(request.sessionNonce).toString("hex"),
      version: request.version,
      capabilities: readCapabilities(request.capabilities),
      labels: { ...node.labels, ...request.labels },
      maxTasks: Math.min(Math.max(request.maxTasks, 1), MAX_TASKS_A_NODE),
      isDraining: false,
      connectedAtMs: nowMs,
      lastSeenAtMs: nowMs,
      reconnects: node.connectedAtMs === undefined ? 0 : node.reconnects + 1,
    };
    await tx.nodes.update(updated);
    return updated;
  });
}

async function recordPresence(options: GatewayOptions, connection: HubConnection, presence: "online" | "offline"): Promise<void> {
  const atMs = options.clock.nowMs();
  await options.store.transaction(async (tx) => {
    const node = await tx.nodes.get(systemScope, connection.nodeId);
    // Another connection may be current by now; its own events tell the story.
    if (node === undefined || node.epoch !== connection.epoch) return;
    await tx.nodes.update({ ...node, revision: node.revision + 1, lastSeenAtMs: atMs });
    const data = { nodeId: node.nodeId, name: node.name, status: presence, epoch: connection.epoch };
    await appendFeed(tx, node.ownerId, [{ kind: `node.${presence}`, atMs, data }]);
  });
  options.wake.wake(`user:${connection.ownerId}`, `node:${connection.nodeId}`);
}

/** The connection's attempts go on without it; the deadlines decide how long. */
async function disconnectTasks(options: GatewayOptions, connection: HubConnection): Promise<void> {
  const { store, writer } = options;
  const filter = { nodeId: connection.nodeId, states: ["leased", "running"] } as const;
  const tasks = await store.tasks.list(systemScope, filter, { limit: 1000 });
  const mine = tasks.filter((task) => task.epoch === connection.epoch);
  await Promise.all(
    mine.map(({ taskId }) =>
      writer.apply(taskId, { type: "disconnect" }, {
        check: async (task) => {
          if (task.epoch !== connection.epoch) throw new CortexError("SUPERSEDED", "a newer connection holds the attempt");
        },
      }).catch((error: unknown) => {
        if (!isCortexError(error) || error.code !== "SUPERSEDED") throw error;
      }),
    ),
  );
}
