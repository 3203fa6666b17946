/**
 * Sends the logs of the spool over one connection: all on one LogStream, in turn, each within its own window.
 *
 * (S1) A log gets {@link QUANTUM_BYTES} and then the next one has its turn: a noisy task cannot starve a quiet one.
 * (S2) Nothing is read before the link wants more, so what waits stays in the logs and not in memory.
 * (S3) A stream that ends alone is opened again; each log then goes on after what the hub has acknowledged.
 */
import { type Clock, CortexError, type Link } from "@cortex-mesh/protocol";
import { createSendWindow, type SendWindow } from "@cortex-mesh/protocol/log";
import type { LogAck } from "@cortex-mesh/protocol/gen";
import type { Spool, SpooledLog } from "../runner/spool.js";
import { decodeLogAck, encodeLogFrame } from "./log-frames.js";
import { pause } from "./within.js";

/** What one log sends before the next has its turn, in bytes. */
export const QUANTUM_BYTES: number = 256 * 1024;
const FIRST_REOPEN_MS = 100;
const MAX_REOPEN_MS = 10_000;

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
  /** The next record does not fit; an acknowledgement makes room. */
  isBlocked: boolean;
  readonly stopListening: () => void;
}

/** Starts to send what is in the spool and what comes. */
export function startLogSender(options: LogSenderOptions): LogSender {
  const { spool, clock, epoch } = options;
  const lanes = new Map<SpooledLog, Lane>();
  const aborter = new AbortController();
  let link: Link | undefined;
  let reopenMs = FIRST_REOPEN_MS;
  let wake = (): void => {};

  function addLane(spooled: SpooledLog): void {
    const window = createSendWindow({ afterSeq: spooled.log.ackedSeq });
    const stopListening = spooled.log.onAppend(() => wake());
    lanes.set(spooled, { spooled, window, isBlocked: false, stopListening });
    wake();
  }

  function removeLane(lane: Lane): void {
    lane.stopListening();
    lanes.delete(lane.spooled);
  }

  function openLink(): Link {
    const opened = options.openLink();
    link = opened;
    for (const { window, spooled } of lanes.values()) window.reset(spooled.log.ackedSeq);
    opened.onFrames((frames) => {
      reopenMs = FIRST_REOPEN_MS;
      for (const bytes of frames) acknowledge(decodeLogAck(bytes));
      wake();
    });
    void opened.closed.then(() => {
      if (link === opened) link = undefined;
      for (const lane of lanes.values()) lane.isBlocked = false;
      wake();
    });
    return opened;
  }

  function acknowledge(ack: LogAck): void {
    const name = ack.log?.name;
    const spooled = name?.case === "task" ? spool.find(name.value) : undefined;
    const lane = spooled === undefined ? undefined : lanes.get(spooled);
    if (lane === undefined || spooled === undefined) return;
    lane.isBlocked = false;
    if (ack.refused) {
      removeLane(lane);
      options.onRefused(spooled);
      return;
    }
    advance(lane, Number(ack.throughSeq), ack.resend);
    options.onAcked(spooled);
  }

  /** Takes the next lane that has something to send, and puts it behind the others (S1). */
  function nextLane(): Lane | undefined {
    for (const lane of lanes.values()) {
      if (lane.isBlocked || lane.window.nextSeq >= lane.spooled.log.nextSeq) continue;
      if (lane.window.available().records === 0) continue;
      lanes.delete(lane.spooled);
      lanes.set(lane.spooled, lane);
      return lane;
    }
    return undefined;
  }

  async function run(): Promise<void> {
    while (!aborter.signal.aborted) {
      const lane = nextLane();
      if (lane === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      if (link === undefined) await reopen();
      else await sendQuantum(lane, link, epoch);
    }
  }

  async function reopen(): Promise<void> {
    const opened = openLink();
    const isLost = await Promise.race([opened.closed.then(() => true), Promise.resolve(false)]);
    if (!isLost) return;
    await pause(clock, reopenMs, aborter.signal);
    reopenMs = Math.min(reopenMs * 2, MAX_REOPEN_MS);
  }

  async function sendQuantum(lane: Lane, to: Link, frameEpoch: bigint): Promise<void> {
    const { spooled, window } = lane;
    const afterSeq = window.nextSeq - 1;
    const maxBytes = Math.max(1, Math.min(QUANTUM_BYTES, window.available().bytes));
    const records = await readUnlessGone(spooled, afterSeq, maxBytes);
    if (records === undefined) return removeLane(lane);
    // An acknowledgement that came meanwhile may have moved the window: what was read is then read again.
    if (link !== to || window.nextSeq !== afterSeq + 1) return;
    for (const record of records) {
      if (!window.canSend(record.payload.byteLength)) {
        lane.isBlocked = true;
        break;
      }
      to.send(encodeLogFrame(spooled, record, frameEpoch));
      window.sent(record.seq, record.payload.byteLength);
    }
    await to.drained();
  }

  for (const spooled of spool.list()) addLane(spooled);
  const stopWatching = spool.onOpened(addLane);
  run().catch((error: unknown) => link?.close(new CortexError("INTERNAL", "logs cannot be sent", { cause: error })));
  return {
    close() {
      if (aborter.signal.aborted) return;
      aborter.abort();
      stopWatching();
      for (const lane of [...lanes.values()]) removeLane(lane);
      link?.close();
      wake();
    },
  };
}

/** Moves a lane to what the hub holds; it may hold more than this connection has sent, or less and want the rest again. */
function advance({ spooled, window }: Lane, throughSeq: number, isResend: boolean): void {
  const { log } = spooled;
  const heldSeq = Math.min(throughSeq, log.nextSeq - 1);
  if (heldSeq > log.ackedSeq) log.ack(heldSeq);
  if (isResend || heldSeq >= window.nextSeq) window.reset(Math.max(heldSeq, log.firstSeq - 1));
  else window.acked(heldSeq);
}

async function readUnlessGone(spooled: SpooledLog, afterSeq: number, maxBytes: number) {
  try {
    return await spooled.log.read({ afterSeq, maxBytes });
  } catch {
    // Deleted, closed or damaged while it was read: this connection sends no more of it.
    return undefined;
  }
}
