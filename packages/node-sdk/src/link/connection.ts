/**
 * One connection to the hub, from the hello to its end.
 *
 * (K1) The hello is the first frame; what the node says before the welcome waits behind it.
 * (K2) The end of either stream is the end of the connection; it is told once, with its reason.
 */
import { type Clock, CortexError, type Timer } from "@cortex-mesh/protocol";
import type { HubWelcome } from "@cortex-mesh/protocol/gen";
import type { NodeReport } from "../runner/report.js";
import { createControlChannel, type HubFrameBody } from "./control-channel.js";
import { type HubSession, type NodeFacts, requestToken } from "./handshake.js";
import { type HeartbeatFigures, startHeartbeat } from "./heartbeat.js";
import { startTokenRenewal, type TokenRenewal } from "./token-renewal.js";
import type { HubTransport } from "./transport.js";
import { pause } from "./within.js";

/** Time from the hello to the welcome, in milliseconds. */
const WELCOME_TIMEOUT_MS = 15_000;
/** Time for the last words of an orderly end, in milliseconds. */
const FAREWELL_MS = 2_000;
/** Statements that may wait for the welcome; with more, something is wrong with the hub. */
const MAX_WAITING_REPORTS = 100_000;

/** How a connection ended. */
export interface ConnectionEnd {
  /** Undefined after an orderly end. */
  readonly error: CortexError | undefined;
  /** When the hub wants the node back, in milliseconds; undefined when it did not say. */
  readonly reconnectAfterMs: number | undefined;
}

/** What a connection does with what it hears. */
export interface ConnectionHandler {
  /** Makes the first statement. */
  hello(): Promise<NodeReport>;
  /** The hub handled the hello. */
  welcomed(welcome: HubWelcome): Promise<void>;
  /** Takes frames in order, after the welcome. */
  receive(bodies: readonly HubFrameBody[]): Promise<void>;
  figures(): HeartbeatFigures;
}

/** What {@link openConnection} needs. */
export interface ConnectionOptions {
  readonly session: HubSession;
  readonly transport: HubTransport;
  readonly facts: NodeFacts;
  readonly clock: Clock;
  readonly handler: ConnectionHandler;
}

/** An open connection. */
export interface Connection {
  readonly session: HubSession;
  /** The newest token. */
  token(): string;
  /** Says something; waits for the welcome first. After the end it is dropped. */
  send(report: NodeReport): void;
  /** Resolves when the hub has welcomed the node; rejects when the connection ends before. */
  readonly ready: Promise<void>;
  /** Resolves once, when the connection is over. */
  readonly closed: Promise<ConnectionEnd>;
  /** Ends it, after what was said has been sent when there is no `error`. Idempotent. */
  close(error?: CortexError): void;
}

/** Opens the streams of a session and says hello. */
export function openConnection(options: ConnectionOptions): Connection {
  const { session, transport, clock, handler } = options;
  const { epoch } = session;
  const tasks = transport.openTasks(session.token);
  const health = transport.openHealth(session.token);
  const renewal = renewToken(options);
  const waiting: NodeReport[] = [];
  let isWelcome = false;
  let isOver = false;
  let welcomeTimer: Timer | undefined;
  let settleReady = { resolve: (): void => {}, reject: (_error: CortexError): void => {} };
  let settleClosed: (end: ConnectionEnd) => void = () => {};
  const ready = new Promise<void>((resolve, reject) => {
    settleReady = { resolve, reject };
  });
  // Its owner may look at it later than it is settled.
  ready.catch(() => {});
  const closed = new Promise<ConnectionEnd>((resolve) => {
    settleClosed = resolve;
  });

  const channel = createControlChannel({ link: tasks, epoch, onFrames: receive });
  const heartbeat = startHeartbeat({
    link: health,
    clock,
    epoch,
    intervalMs: session.heartbeatIntervalMs,
    silenceMs: Math.max(session.leaseMs, 2 * session.heartbeatIntervalMs),
    control: channel,
    figures: () => handler.figures(),
    onLost: (error) => finish({ error, reconnectAfterMs: undefined }),
  });

  function finish(end: ConnectionEnd): void {
    if (isOver) return;
    isOver = true;
    welcomeTimer?.cancel();
    heartbeat.stop();
    renewal.stop();
    tasks.close(end.error);
    health.close(end.error);
    settleReady.reject(end.error ?? new CortexError("UNAVAILABLE", "the connection was ended"));
    void farewell(end).then(() => settleClosed(end));
  }

  /** An orderly end gives what was said last a moment to leave. */
  async function farewell(end: ConnectionEnd): Promise<void> {
    if (end.error !== undefined) return;
    const lingering = new AbortController();
    const left = Promise.all([tasks.closed, health.closed]).then(() => lingering.abort());
    await Promise.race([left, pause(clock, FAREWELL_MS, lingering.signal)]);
    lingering.abort();
  }

  const fail = (error: CortexError): void => finish({ error, reconnectAfterMs: undefined });

  async function receive(bodies: readonly HubFrameBody[]): Promise<void> {
    let rest = bodies;
    if (!isWelcome) {
      const [first] = bodies;
      if (first?.case !== "welcome") {
        const end = first === undefined ? undefined : endOf(first);
        return finish(end ?? { error: new CortexError("BAD_REQUEST", "the hub did not welcome first"), reconnectAfterMs: undefined });
      }
      await handler.welcomed(first.value);
      isWelcome = true;
      welcomeTimer?.cancel();
      for (const report of waiting.splice(0)) channel.send(report);
      settleReady.resolve();
      rest = bodies.slice(1);
    }
    const at = rest.findIndex((body) => endOf(body) !== undefined);
    const ending = rest[at];
    await handler.receive(at === -1 ? rest : rest.slice(0, at));
    const end = ending === undefined ? undefined : endOf(ending);
    if (end !== undefined) finish(end);
  }

  async function sayHello(): Promise<void> {
    const hello = await handler.hello();
    if (isOver) return;
    channel.send(hello);
    welcomeTimer = clock.setTimer(
      () => fail(new CortexError("TIMED_OUT", `the hub did not welcome the node within ${WELCOME_TIMEOUT_MS} ms`)),
      WELCOME_TIMEOUT_MS,
    );
  }

  for (const link of [tasks, health]) {
    void link.closed.then((error) => finish({ error, reconnectAfterMs: undefined }));
  }
  sayHello().catch((error: unknown) => fail(new CortexError("INTERNAL", "the hello could not be made", { cause: error })));

  return {
    session,
    token: () => renewal.current(),
    send(report) {
      if (isOver) return;
      if (isWelcome) channel.send(report);
      else if (waiting.length < MAX_WAITING_REPORTS) waiting.push(report);
      else fail(new CortexError("UNAVAILABLE", "too much waits for the hub's welcome"));
    },
    ready,
    closed,
    close: (error) => finish({ error, reconnectAfterMs: undefined }),
  };
}

function renewToken({ session, transport, facts, clock }: ConnectionOptions): TokenRenewal {
  const signal = new AbortController().signal;
  return startTokenRenewal({
    clock,
    token: session.token,
    lifeMs: session.tokenLifeMs,
    request: () => requestToken({ transport, facts, clock, signal }, session.epoch),
  });
}

/** The end that a frame announces, if it does. */
function endOf(body: HubFrameBody): ConnectionEnd | undefined {
  if (body.case === "goodbye") return { error: undefined, reconnectAfterMs: body.value.reconnectAfterMs };
  if (body.case !== "superseded") return undefined;
  const message = "another process connected with this node's identity; give each node its own state directory";
  return { error: new CortexError("SUPERSEDED", message), reconnectAfterMs: undefined };
}
