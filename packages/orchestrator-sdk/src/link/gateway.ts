/**
 * Where nodes come in: registration, then one control, one health and any number of log streams for each connection.
 *
 * Knows streams only as {@link Link}s, so that the same code serves gRPC and a simulator. Who is calling was proven before:
 * every call carries the verified token.
 */
import {
  type Clock,
  CortexError,
  isCortexError,
  type Link,
  type NodeId,
  negotiateVersion,
  type Policy,
  type SigningKey,
  SUPPORTED_PROTOCOL,
} from "@cortex-mesh/protocol";
import type { RegistrationRequest, RegistrationResponse } from "@cortex-mesh/protocol/gen";
import type { NodeConnection } from "../nodes/connection.js";
import type { NodeConnections } from "../nodes/connections.js";
import type { Tokens } from "../nodes/tokens.js";
import type { HubStore } from "../store/store.js";
import type { TaskWriter } from "../tasks/commit.js";
import type { InputRelay } from "../tasks/input.js";
import type { OutputReceiver } from "../tasks/output.js";
import type { TaskReports } from "../tasks/reports.js";
import type { Wake } from "../wake/wake.js";
import { watchHello } from "./hello.js";
import { createHubConnection, type HubConnection } from "./hub-connection.js";
import { attachLogs } from "./log-stream.js";
import { createOutgoing } from "./outgoing.js";
import { disconnectTasks, recordPresence } from "./presence.js";
import { type ConnectionKey, createConnectionRules, type NodeCredentials, recordRegistration } from "./register.js";
import { attachHealth, type SilenceWatch, watchSilence } from "./report-health.js";
import { createTaskStreamHandler } from "./task-stream.js";
import { createTokenRefresh, type TokenRefresh } from "./token-refresh.js";

export type { ConnectionKey, NodeCredentials } from "./register.js";

/** Time between the returns of two nodes to a hub that stops, and the longest a node is told to wait. */
const RETURN_SPREAD_MS = 2;
const MAX_RETURN_MS = 30_000;

/** Where nodes come in. */
export interface NodeGateway {
  /** @throws CortexError `VERSION_UNSUPPORTED`, `NODE_REVOKED`, `SUPERSEDED`, `BAD_REQUEST`, `UNAVAILABLE` */
  register(credentials: NodeCredentials, request: RegistrationRequest): Promise<RegistrationResponse>;
  /**
   * Takes a control stream; its first frame is the hello. Of this and of the others: a stream that does not fit is closed
   * with the reason, and the answer is whether it was taken.
   */
  openTasks(key: ConnectionKey, link: Link): boolean;
  /** Takes the health stream; there is one. */
  openHealth(key: ConnectionKey, link: Link): boolean;
  /** Takes a log stream; there are a few. */
  openLogs(key: ConnectionKey, link: Link): boolean;
  /** Hears of each connection that is over, once. Must not throw. */
  onEnded(listener: (key: ConnectionKey, reason: CortexError) => void): void;
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
  readonly tokens: Pick<Tokens, "challenge" | "issue">;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly hubId: string;
  readonly grantKey: SigningKey;
  readonly policy: Policy;
  readonly onError: (error: unknown) => void;
  /** Hears of nodes that came and went, and how they do. @default nobody does */
  readonly watcher?: GatewayWatcher | undefined;
}

/** Hears of the nodes at a gateway. Must not throw. */
export interface GatewayWatcher {
  /** The node was welcomed. */
  online(connection: NodeConnection): void;
  /** Its connection ended and none took its place. It may have ended before a welcome. */
  offline(connection: NodeConnection, reason: CortexError): void;
  /** The node measured a round trip. */
  roundTrip(durationMs: number): void;
}

/** Makes the gateway of a hub. */
export function createGateway(options: GatewayOptions): NodeGateway {
  const { connections, writer, clock } = options;
  const rules = createConnectionRules(options);
  const registry = createRegistry(options);

  writer.onCommit((before, after) => {
    // A task that left a node concerns that node as well: its cancel is not needed any more.
    for (const nodeId of new Set([before?.nodeId, after.nodeId])) {
      if (nodeId !== undefined) connections.get(nodeId)?.noteTask(after);
    }
  });
  const onReady = async (connection: HubConnection): Promise<void> => {
    options.watcher?.online(connection);
    await recordPresence(options, connection, "online");
    options.wake.wake("place");
  };
  return {
    async register(credentials, request) {
      registry.assertOpen();
      const protocolVersion = negotiateVersion(SUPPORTED_PROTOCOL, {
        min: request.protocolMin,
        max: request.protocolMax,
      });
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
      registry.add(connection, createTokenRefresh(connection, { ...options, expiresAtMs: credentials.expiresAtMs }));
      return rules.answer({ protocolVersion, epoch: credentials.epoch });
    },
    openTasks: (key, link) =>
      registry.attach(key, link, ({ connection, refresh }) => {
        const outgoing = createOutgoing(connection, { ...options, policySha256: rules.policySha256 });
        connection.attachTasks(link, createTaskStreamHandler(connection, { ...options, outgoing, refresh, onReady }));
      }),
    openHealth: (key, link) =>
      registry.attach(key, link, ({ connection, silence }) =>
        attachHealth(connection, link, { silence, onRoundTrip: options.watcher?.roundTrip }),
      ),
    openLogs: (key, link) =>
      registry.attach(key, link, ({ connection }) => attachLogs(connection, link, options.output)),
    onEnded: (listener) => registry.onEnded(listener),
    close: () => registry.close(),
  };
}

interface Registered {
  readonly connection: HubConnection;
  readonly silence: SilenceWatch;
  readonly refresh: TokenRefresh;
}

/** The connections that streams may be attached to, and the ends that are being recorded. */
interface Registry {
  /** @throws CortexError `UNAVAILABLE` when the hub is stopping */
  assertOpen(): void;
  /** @throws CortexError `SUPERSEDED` when the node has a newer connection, `UNAVAILABLE` when the hub is stopping */
  add(connection: HubConnection, refresh: TokenRefresh): void;
  /** Whether it was attached. A stream that cannot be is closed with the reason; its fault never reaches the others. */
  attach(key: ConnectionKey, link: Link, how: (registered: Registered) => void): boolean;
  onEnded: NodeGateway["onEnded"];
  close(): Promise<void>;
}

function createRegistry(options: GatewayOptions): Registry {
  const { connections, clock } = options;
  const registered = new Map<NodeId, Registered>();
  const ending = new Set<Promise<void>>();
  const listeners: Parameters<NodeGateway["onEnded"]>[0][] = [];
  let isClosed = false;

  const assertOpen = (): void => {
    if (isClosed) throw new CortexError("UNAVAILABLE", "the hub is stopping");
  };
  const find = ({ nodeId, epoch }: ConnectionKey): Registered => {
    const entry = registered.get(nodeId);
    if (entry?.connection.epoch === epoch) return entry;
    throw new CortexError("SUPERSEDED", "the connection is not registered, or a newer one took its place");
  };
  const onEnd = async (connection: HubConnection, reason: CortexError): Promise<void> => {
    if (registered.get(connection.nodeId)?.connection === connection) registered.delete(connection.nodeId);
    for (const listener of listeners) listener(connection, reason);
    if (!connections.remove(connection)) return;
    options.watcher?.offline(connection, reason);
    await disconnectTasks(options, connection);
    await recordPresence(options, connection, "offline");
  };
  return {
    assertOpen,
    add(connection, refresh) {
      assertOpen();
      connections.add(connection);
      registered.set(connection.nodeId, { connection, silence: watchSilence(connection, clock), refresh });
      watchHello(connection, clock);
      void connection.closed.then((reason) => {
        const work: Promise<void> = onEnd(connection, reason)
          .catch(options.onError)
          .finally(() => ending.delete(work));
        ending.add(work);
      });
    },
    onEnded: (listener) => void listeners.push(listener),
    attach(key, link, how) {
      try {
        how(find(key));
        return true;
      } catch (error) {
        link.close(isCortexError(error) ? error : unopened(error));
        return false;
      }
    },
    async close() {
      isClosed = true;
      const open = [...registered.values()];
      const spreadMs = Math.min(MAX_RETURN_MS, open.length * RETURN_SPREAD_MS);
      for (const [index, { connection }] of open.entries()) {
        const reconnectAfterMs = Math.round((spreadMs * index) / open.length);
        connection.dismiss(reconnectAfterMs, new CortexError("UNAVAILABLE", "the hub is stopping"));
      }
      // The ends are recorded in the turns after the closing.
      await Promise.all(open.map(({ connection }) => connection.closed));
      while (ending.size > 0) await Promise.all(ending);
    },
  };
}

function unopened(cause: unknown): CortexError {
  return new CortexError("INTERNAL", "the stream could not be opened", { cause });
}
