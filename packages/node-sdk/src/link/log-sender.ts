/**
 * Sends the logs of the spool over one connection: all on one LogStream, in turn, each within its own window.
 *
 * (S1) A log gets {@link QUANTUM_BYTES} and then the next one has its turn: a noisy task cannot starve a quiet one.
 * (S2) Nothing is read before the link wants more, so what waits stays in the logs and not in memory.
 * (S3) A stream that ends alone is opened again; each log then goes on after what the hub has acknowledged.
 * (S4) Where records of a log are lost, one gap goes in their place, and the log goes on when the hub has that.
 * (S5) A stream on which the hub is silent about a log of which something is under way is given up: its end may be lost.
 * (S6) A log that cannot be read is tried again, later and later, while the others go on; only one that was closed or
 * deleted has ended.
 * (S7) Who writes a log is held only while it is sent.
 */
import { type Clock, CortexError, isCortexError, type Link, type Timer } from "@cortex-mesh/protocol";
import type { LogAck } from "@cortex-mesh/protocol/gen";
import { createSendWindow, type LogRecord, type SendWindow } from "@cortex-mesh/protocol/log";
import type { Spool, SpooledLog } from "../runner/spool.js";
import { ACK_SILENCE_MS, type AckWatch, createAckWatch } from "./ack-watch.js";
import { createLogFrameEncoder, decodeLogAck, type LogFrameEncoder, type LogHole } from "./log-frames.js";
import { pause } from "./within.js";

/** What one log sends before the next has its turn, in bytes. */
export const QUANTUM_BYTES: number = 256 * 1024;
const FIRST_REOPEN_MS = 100;
const MAX_REOPEN_MS = 10_000;
const FIRST_REREAD_MS = 100;
const MAX_REREAD_MS = 10_000;

/** Sends while a connection lasts. */
export interface LogSender {
  /** Ends the stream. Idempotent. */
  close(): void;
}

/** What {@link startLogSender} needs. */
export interface LogSenderOptions {
  readonly spool: Spool;
  readonly clock: Clock;
  readonly epoch: bigint;
  readonly openLink: () => Link;
  /** The hub holds more of a log than before. */
  readonly onAcked: (log: SpooledLog) => void;
  /** The hub does not take a log any more. */
  readonly onRefused: (log: SpooledLog) => void;
}

/** A log on its way over this connection. */
interface Lane {
  readonly spooled: SpooledLog;
  readonly window: SendWindow;
  readonly encoder: LogFrameEncoder;
  /** The next record does not fit; an acknowledgement makes room. */
  isBlocked: boolean;
  /** A gap that was sent for lost records up to this one; nothing more is sent before the hub has it (S4). */
  awaitedSeq: number | undefined;
  /** Runs while a log that could not be read has to wait (S6). */
  reread: Timer | undefined;
  rereadMs: number;
  readonly stopListening: () => void;
}

interface Sending {
  readonly options: LogSenderOptions;
  /** In order of their turns (S1). */
  readonly lanes: Map<SpooledLog, Lane>;
  readonly aborter: AbortController;
  link: Link | undefined;
  /** Of the stream that is open (S5). */
  watch: AckWatch<Lane> | undefined;
  reopenMs: number;
  /** Wakes the loop when it waits for something to send. */
  wake: () => void;
}

/** Starts to send what is in the spool and what comes. */
export function startLogSender(options: LogSenderOptions): LogSender {
  const { spool } = options;
  const sending: Sending = {
    options,
    lanes: new Map(),
    aborter: new AbortController(),
    link: undefined,
    watch: undefined,
    reopenMs: FIRST_REOPEN_MS,
    wake: () => {},
  };
  for (const spooled of spool.list()) addLane(sending, spooled);
  const stopWatching = spool.onOpened((spooled) => addLane(sending, spooled));
  run(sending).catch((error: unknown) =>
    sending.link?.close(new CortexError("INTERNAL", "logs cannot be sent", { cause: error })),
  );
  return {
    close() {
      if (sending.aborter.signal.aborted) return;
      sending.aborter.abort();
      stopWatching();
      for (const lane of [...sending.lanes.values()]) removeLane(sending, lane);
      sending.link?.close();
      sending.wake();
    },
  };
}

function addLane(sending: Sending, spooled: SpooledLog): void {
  const window = createSendWindow({ afterSeq: spooled.log.ackedSeq });
  const stopListening = spooled.log.onAppend(() => sending.wake());
  const encoder = createLogFrameEncoder(spooled, sending.options.epoch);
  const waits = { isBlocked: false, awaitedSeq: undefined, reread: undefined, rereadMs: FIRST_REREAD_MS };
  const lane: Lane = { spooled, window, encoder, ...waits, stopListening };
  sending.lanes.set(spooled, lane);
  sending.wake();
}

function removeLane({ lanes, watch }: Sending, lane: Lane): void {
  lane.stopListening();
  lane.reread?.cancel();
  watch?.heard(lane, false);
  lane.spooled.flow.moved(undefined);
  lanes.delete(lane.spooled);
}

/** Takes the next lane that has something to send, and puts it behind the others (S1). */
function nextLane({ lanes }: Sending): Lane | undefined {
  for (const lane of lanes.values()) {
    if (lane.isBlocked || lane.reread !== undefined || lane.window.nextSeq >= lane.spooled.log.nextSeq) continue;
    lanes.delete(lane.spooled);
    lanes.set(lane.spooled, lane);
    return lane;
  }
  return undefined;
}

async function run(sending: Sending): Promise<void> {
  while (!sending.aborter.signal.aborted) {
    const lane = nextLane(sending);
    if (lane === undefined) {
      await new Promise<void>((resolve) => {
        sending.wake = resolve;
      });
      continue;
    }
    if (sending.link === undefined) openStream(sending);
    else await sendQuantum(sending, lane, sending.link);
  }
}

function openStream(sending: Sending): void {
  const opened = sending.options.openLink();
  sending.link = opened;
  const watch = createAckWatch<Lane>({
    clock: sending.options.clock,
    onSilent: () =>
      opened.close(new CortexError("TIMED_OUT", `the hub did not acknowledge a log for ${ACK_SILENCE_MS} ms`)),
  });
  sending.watch = watch;
  for (const lane of sending.lanes.values()) goOnAfter(lane, lane.spooled.log.ackedSeq);
  opened.onFrames((frames) => {
    sending.reopenMs = FIRST_REOPEN_MS;
    for (const bytes of frames) acknowledge(sending, decodeLogAck(bytes));
    sending.wake();
  });
  void opened.closed.then(() => {
    watch.stop();
    return afterStream(sending, opened);
  });
}

/** Whether the hub has to say something about a log. */
function isAwaited({ window, awaitedSeq }: Lane): boolean {
  return window.inFlight.records > 0 || awaitedSeq !== undefined;
}

/** A stream that ended is opened again after a wait, which an acknowledgement on the next one makes short again (S3). */
async function afterStream(sending: Sending, ended: Link): Promise<void> {
  const waitMs = sending.reopenMs;
  sending.reopenMs = Math.min(waitMs * 2, MAX_REOPEN_MS);
  for (const lane of sending.lanes.values()) {
    lane.isBlocked = true;
    lane.spooled.flow.moved(undefined);
  }
  await pause(sending.options.clock, waitMs, sending.aborter.signal);
  if (sending.link === ended) sending.link = undefined;
  for (const lane of sending.lanes.values()) {
    lane.isBlocked = false;
    lane.awaitedSeq = undefined;
    lane.window.reset(lane.spooled.log.ackedSeq);
  }
  sending.wake();
}

function acknowledge(sending: Sending, ack: LogAck): void {
  const { spool, onAcked, onRefused } = sending.options;
  const name = ack.log?.name;
  const spooled = name?.case === "task" ? spool.find(name.value) : undefined;
  const lane = spooled === undefined ? undefined : sending.lanes.get(spooled);
  if (lane === undefined || spooled === undefined) return;
  if (ack.refused) {
    removeLane(sending, lane);
    onRefused(spooled);
    return;
  }
  advance(lane, Number(ack.throughSeq), ack.resend);
  lane.isBlocked = lane.awaitedSeq !== undefined;
  sending.watch?.heard(lane, isAwaited(lane));
  onAcked(spooled);
}

async function sendQuantum(sending: Sending, lane: Lane, to: Link): Promise<void> {
  const { spooled, window } = lane;
  const afterSeq = window.nextSeq - 1;
  const maxBytes = Math.max(1, Math.min(QUANTUM_BYTES, window.available().bytes));
  const found = await readOrHole(spooled, afterSeq, maxBytes);
  // Meanwhile this connection, or the stream, may have ended: nobody sends then (S7).
  if (sending.link !== to || sending.lanes.get(spooled) !== lane || lane.isBlocked) return;
  // An acknowledgement may have moved the window: what was read is then read again.
  if (window.nextSeq !== afterSeq + 1) return;
  const { records, hole } = found;
  if (hole !== undefined) return sendHole(sending, lane, hole);
  if (found.isOver === true) return removeLane(sending, lane);
  if (records === undefined) return rereadLater(sending, lane);
  lane.rereadMs = FIRST_REREAD_MS;
  for (const record of records) {
    if (!window.canSend(record.payload.byteLength)) {
      lane.isBlocked = true;
      break;
    }
    to.send(lane.encoder.record(record));
    window.sent(record.seq, record.payload.byteLength);
  }
  if (isAwaited(lane)) sending.watch?.sent(lane);
  spooled.flow.moved(window.nextSeq - 1);
  await to.drained();
}

/** Starts again after a record, on the stream there is. */
function goOnAfter(lane: Lane, seq: number): void {
  lane.awaitedSeq = undefined;
  lane.window.reset(seq);
  lane.spooled.flow.moved(lane.reread === undefined ? seq : undefined);
}

/** Lets a log that cannot be read wait; who writes it is not held by that (S6, S7). */
function rereadLater(sending: Sending, lane: Lane): void {
  lane.spooled.flow.moved(undefined);
  lane.reread = sending.options.clock.setTimer(() => {
    lane.reread = undefined;
    sending.wake();
  }, lane.rereadMs);
  lane.rereadMs = Math.min(lane.rereadMs * 2, MAX_REREAD_MS);
}

/** Moves a lane to what the hub holds; it may hold more than this connection has sent, or less and want the rest again. */
function advance(lane: Lane, throughSeq: number, isResend: boolean): void {
  const { log } = lane.spooled;
  const { window } = lane;
  const heldSeq = Math.min(throughSeq, log.nextSeq - 1);
  if (heldSeq > log.ackedSeq) log.ack(heldSeq);
  if (isResend || heldSeq >= window.nextSeq) goOnAfter(lane, heldSeq);
  else window.acked(heldSeq);
}

/** What comes next in a log: records, a hole, its end when it was deleted or closed; nothing when it cannot be read now. */
interface NextInLog {
  readonly isOver?: boolean;
  readonly records?: readonly LogRecord[];
  readonly hole?: LogHole;
}

async function readOrHole({ log }: SpooledLog, afterSeq: number, maxBytes: number): Promise<NextInLog> {
  try {
    return { records: await log.read({ afterSeq, maxBytes }) };
  } catch (error) {
    if (isCortexError(error) && error.code === "UNAVAILABLE") return { isOver: true };
    const earliest = isCortexError(error) && error.code === "PAST_RETENTION" ? error.details["earliest"] : undefined;
    if (typeof earliest !== "number" || earliest <= afterSeq + 1) return {};
    return { hole: { fromSeq: afterSeq + 1, throughSeq: earliest - 1 } };
  }
}

function sendHole({ link, watch, options }: Sending, lane: Lane, hole: LogHole): void {
  lane.isBlocked = true;
  lane.awaitedSeq = hole.throughSeq;
  link?.send(lane.encoder.hole(hole, options.clock.nowMs()));
  watch?.sent(lane);
}
