/**
 * One connection to the hub, from the hello to its end.
 *
 * (K1) The hello is the first frame; what the node says before the welcome waits behind it.
 * (K2) The end of either stream is the end of the connection; it is told once, with its reason.
 */
import { type Clock, CortexError, type Link, type Timer, toCortexError } from "@cortex-mesh/protocol";
import type { HubWelcome } from "@cortex-mesh/protocol/gen";
import type { NodeReport } from "../runner/report.js";
import { type ConnectionEnd, endOf } from "./connection-end.js";
import { type ControlChannel, createControlChannel, type HubFrameBody } from "./control-channel.js";
import { type Deferred, defer } from "./deferred.js";
import type { HubSession, NodeFacts } from "./handshake.js";
import { type HeartbeatFigures, type HeartbeatLoop, startHeartbeat } from "./heartbeat.js";
import { createReportQueue, type ReportQueue } from "./report-queue.js";
import { createStreamToken, type StreamToken } from "./stream-token.js";
import type { HubTransport } from "./transport.js";
import { pause } from "./within.js";

/** Time from the hello to the welcome, in milliseconds. */
const WELCOME_TIMEOUT_MS = 15_000;
/** Time for the last words of an orderly end, in milliseconds. */
const FAREWELL_MS = 2_000;

/** What a connection does with what it hears. */
export interface ConnectionHandler {
  /** Makes the first statement. */
  hello(): Promise<NodeReport>;
  /** The hub handled the hello. */
  welcomed(welcome: HubWelcome): Promise<void>;
  /** Says again what the hub has to know; before each statement it waits for `room`, which gives false at the end. */
  sayAgain(room: () => Promise<boolean>): Promise<void>;
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
  /** False from the moment its end begins. */
  readonly isOpen: boolean;
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
  const conn = createStreams(options);
  for (const link of [conn.tasks, conn.health]) {
    void link.closed.then((error) => finish(conn, { error, reconnectAfterMs: undefined }));
  }
  sayHello(conn).catch((error: unknown) =>
    fail(conn, new CortexError("INTERNAL", `the hello could not be made: ${String(error)}`, { cause: error })),
  );
  return {
    session: options.session,
    get isOpen() {
      return !conn.isOver;
    },
    token: () => conn.token.current(),
    send(report) {
      if (!conn.isOver) conn.reports.push(report);
    },
    ready: conn.ready.promise,
    closed: conn.closed.promise,
    close: (error) => finish(conn, { error, reconnectAfterMs: undefined }),
  };
}

interface OpenStreams {
  readonly options: ConnectionOptions;
  readonly tasks: Link;
  readonly health: Link;
  readonly channel: ControlChannel;
  readonly heartbeat: HeartbeatLoop;
  readonly token: StreamToken;
  readonly ready: Deferred<void>;
  readonly closed: Deferred<ConnectionEnd>;
  /** What was said; opened by the welcome (K1). */
  readonly reports: ReportQueue;
  isWelcome: boolean;
  isOver: boolean;
  welcomeTimer: Timer | undefined;
}

function createStreams(options: ConnectionOptions): OpenStreams {
  const { session, transport, clock, handler, facts } = options;
  const { epoch, token, heartbeatIntervalMs } = session;
  const tasks = transport.openTasks(token);
  const health = transport.openHealth(token);
  const channel = createControlChannel({ link: tasks, epoch, onFrames: (bodies) => receive(conn, bodies) });
  const reports = createReportQueue({
    link: tasks,
    send: (report) => channel.send(report),
    onFailed: (error) => fail(conn, error),
  });
  const heartbeat = startHeartbeat({
    link: health,
    clock,
    epoch,
    intervalMs: heartbeatIntervalMs,
    silenceMs: Math.max(session.leaseMs, 2 * heartbeatIntervalMs),
    control: channel,
    figures: () => handler.figures(),
    onLost: (error) => fail(conn, error),
  });
  const conn: OpenStreams = {
    options,
    tasks,
    health,
    channel,
    heartbeat,
    token: createStreamToken(facts, session),
    reports,
    ready: defer(),
    closed: defer(),
    isWelcome: false,
    isOver: false,
    welcomeTimer: undefined,
  };
  return conn;
}

/** Ends the connection once (K2). */
function finish(conn: OpenStreams, end: ConnectionEnd): void {
  if (conn.isOver) return;
  conn.isOver = true;
  conn.welcomeTimer?.cancel();
  conn.heartbeat.stop();
  if (end.error === undefined) lastWords(conn);
  conn.reports.close();
  conn.tasks.close(end.error);
  conn.health.close(end.error);
  conn.ready.reject(end.error ?? new CortexError("UNAVAILABLE", "the connection was ended"));
  void farewell(conn, end).then(() => conn.closed.resolve(end));
}

/** What was said before an orderly end leaves with it. What does not fit is durable, and is said on the next connection. */
function lastWords({ reports, tasks }: OpenStreams): void {
  try {
    reports.flush();
  } catch (error) {
    tasks.close(toCortexError(error));
  }
}

function fail(conn: OpenStreams, error: CortexError): void {
  finish(conn, { error, reconnectAfterMs: undefined });
}

/** An orderly end gives what was said last a moment to leave. */
async function farewell({ tasks, health, options }: OpenStreams, end: ConnectionEnd): Promise<void> {
  if (end.error !== undefined) return;
  const lingering = new AbortController();
  const left = Promise.all([tasks.closed, health.closed]).then(() => lingering.abort());
  await Promise.race([left, pause(options.clock, FAREWELL_MS, lingering.signal)]);
  lingering.abort();
}

async function receive(conn: OpenStreams, bodies: readonly HubFrameBody[]): Promise<void> {
  if (conn.isOver) return;
  const rest = conn.isWelcome ? bodies : await receiveWelcome(conn, bodies);
  const at = rest.findIndex((body) => endOf(body) !== undefined);
  const ending = rest[at];
  const before = at === -1 ? rest : rest.slice(0, at);
  await conn.options.handler.receive(before.filter((body) => !receiveToken(conn, body)));
  const end = ending === undefined ? undefined : endOf(ending);
  if (end !== undefined) finish(conn, end);
}

/** Whether a frame was about the token; the proof that it asks for goes out at once. */
function receiveToken(conn: OpenStreams, body: HubFrameBody): boolean {
  try {
    const taken = conn.token.receive(body);
    if (taken?.answer !== undefined) conn.reports.push(taken.answer);
    return taken !== undefined;
  } catch (error) {
    fail(conn, toCortexError(error));
    return true;
  }
}

/** Takes the welcome and gives what came behind it; the hub may also end the connection in its place. */
async function receiveWelcome(conn: OpenStreams, bodies: readonly HubFrameBody[]): Promise<readonly HubFrameBody[]> {
  const [first, ...rest] = bodies;
  if (first?.case !== "welcome") {
    const end = first === undefined ? undefined : endOf(first);
    if (end === undefined) fail(conn, new CortexError("BAD_REQUEST", "the hub did not welcome first"));
    else finish(conn, end);
    return [];
  }
  await conn.options.handler.welcomed(first.value);
  if (conn.isOver) return [];
  conn.isWelcome = true;
  conn.welcomeTimer?.cancel();
  conn.reports.open();
  conn.ready.resolve();
  sayAgain(conn);
  return rest;
}

/** Goes on beside what the hub says meanwhile: a hub that is slow to read must not keep the node from reading. */
function sayAgain(conn: OpenStreams): void {
  const room = async (): Promise<boolean> => {
    await conn.reports.room();
    return !conn.isOver;
  };
  conn.options.handler.sayAgain(room).catch((error: unknown) => fail(conn, toCortexError(error)));
}

async function sayHello(conn: OpenStreams): Promise<void> {
  const { handler, clock } = conn.options;
  const hello = await handler.hello();
  if (conn.isOver) return;
  conn.channel.send(hello);
  conn.welcomeTimer = clock.setTimer(
    () => fail(conn, new CortexError("TIMED_OUT", `the hub did not welcome the node within ${WELCOME_TIMEOUT_MS} ms`)),
    WELCOME_TIMEOUT_MS,
  );
}
