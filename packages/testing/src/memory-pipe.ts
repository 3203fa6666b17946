/**
 * One direction of a link in memory: frames of one tick travel as a batch, keep their order, and meet the faults that the
 * direction was made with. Without a clock a batch arrives in the next microtask; with one, after its latency.
 */
import { type Clock, CortexError, MAX_CONTROL_MESSAGE_BYTES, type Timer } from "@cortex-mesh/protocol";

/**
 * What happens to one frame on its way.
 *
 * - `reorder`: the frame that comes after it overtakes it.
 * - `delayMs`: it and everything behind it come that much later; needs a clock.
 */
export type FrameFate = "deliver" | "drop" | "duplicate" | "reorder" | { readonly delayMs: number };

/** Decides the fate of each frame; `index` counts the frames of one direction from 0. */
export type FrameFault = (frame: Uint8Array, index: number) => FrameFate;

/** How long a frame waits at most for one that overtakes it, in milliseconds. */
const REORDER_WAIT_MS = 50;
/** Bytes on their way above which a sender is to wait. */
const HIGH_WATER_BYTES = 256 * 1024;

/** What a direction works with. */
export interface PipeOptions {
  readonly fault: FrameFault;
  readonly clock: Clock | undefined;
  /** Latency of the next batch, in milliseconds. */
  readonly latencyMs: () => number;
  readonly onFrames: (frames: readonly Uint8Array[]) => void;
  /** The other side closed; everything it sent before has arrived. */
  readonly onClose: (reason: CortexError | undefined) => void;
}

/** One direction. */
export interface Pipe {
  /** Bytes that did not arrive yet. */
  readonly bytes: number;
  /** @throws CortexError `TOO_LARGE` */
  send(frame: Uint8Array): void;
  close(reason: CortexError | undefined): void;
  /** Resolves when a sender may go on. */
  drained(): Promise<void>;
  /** Nothing arrives until `resume`. */
  stall(): void;
  resume(): void;
  /** Nothing arrives any more. */
  cut(): void;
  /** Nobody sends any more: whoever waits for room goes on. */
  release(): void;
}

type Item =
  | { readonly kind: "frames"; readonly frames: readonly Uint8Array[] }
  | { readonly kind: "close"; readonly reason: CortexError | undefined };

interface PipeState {
  readonly options: PipeOptions;
  /** Frames of this tick. */
  batch: Uint8Array[];
  batchDelayMs: number;
  isFlushDue: boolean;
  /** A frame that lets the next one pass. */
  late: Uint8Array | undefined;
  lateTimer: Timer | undefined;
  /** Arrived while stalled. */
  held: Item[];
  isStalled: boolean;
  isCut: boolean;
  isReleased: boolean;
  bytes: number;
  count: number;
  lastArrivalMs: number;
  waiting: (() => void)[];
}

/** Makes one direction. */
export function createPipe(options: PipeOptions): Pipe {
  const pipe: PipeState = {
    options,
    batch: [],
    batchDelayMs: 0,
    isFlushDue: false,
    late: undefined,
    lateTimer: undefined,
    held: [],
    isStalled: false,
    isCut: false,
    isReleased: false,
    bytes: 0,
    count: 0,
    lastArrivalMs: 0,
    waiting: [],
  };
  return {
    get bytes() {
      return pipe.bytes;
    },
    send: (frame) => send(pipe, frame),
    close(reason) {
      flush(pipe);
      travel(pipe, { kind: "close", reason }, 0);
    },
    async drained() {
      while (pipe.bytes > HIGH_WATER_BYTES && !pipe.isReleased) {
        await new Promise<void>((resolve) => pipe.waiting.push(resolve));
      }
    },
    stall() {
      pipe.isStalled = true;
    },
    resume() {
      pipe.isStalled = false;
      for (const item of pipe.held.splice(0)) arrive(pipe, item);
    },
    cut() {
      pipe.isCut = true;
      pipe.lateTimer?.cancel();
      release(pipe);
    },
    release: () => release(pipe),
  };
}

function release(pipe: PipeState): void {
  pipe.isReleased = true;
  for (const resolve of pipe.waiting.splice(0)) resolve();
}

function send(pipe: PipeState, frame: Uint8Array): void {
  if (frame.byteLength > MAX_CONTROL_MESSAGE_BYTES) {
    throw new CortexError("TOO_LARGE", `a frame of ${frame.byteLength} bytes is over the limit`);
  }
  const fate = pipe.options.fault(frame, pipe.count);
  pipe.count += 1;
  if (fate === "drop" || pipe.isCut) return;
  if (fate === "reorder" && pipe.late === undefined) return setAside(pipe, frame);
  // The receiver gets bytes of its own, as from a socket.
  add(pipe, frame.slice());
  if (fate === "duplicate") add(pipe, frame.slice());
  if (typeof fate === "object") pipe.batchDelayMs = Math.max(pipe.batchDelayMs, fate.delayMs);
  letGo(pipe);
}

function add(pipe: PipeState, frame: Uint8Array): void {
  pipe.batch.push(frame);
  pipe.bytes += frame.byteLength;
  if (pipe.isFlushDue) return;
  pipe.isFlushDue = true;
  queueMicrotask(() => flush(pipe));
}

function setAside(pipe: PipeState, frame: Uint8Array): void {
  pipe.late = frame.slice();
  const { clock } = pipe.options;
  // Without a clock it waits for the end of the tick, with one a little longer.
  if (clock === undefined) queueMicrotask(() => letGo(pipe));
  else pipe.lateTimer = clock.setTimer(() => letGo(pipe), REORDER_WAIT_MS);
}

function letGo(pipe: PipeState): void {
  const { late } = pipe;
  if (late === undefined) return;
  pipe.late = undefined;
  pipe.lateTimer?.cancel();
  add(pipe, late);
}

function flush(pipe: PipeState): void {
  pipe.isFlushDue = false;
  const { batch: frames, batchDelayMs } = pipe;
  pipe.batch = [];
  pipe.batchDelayMs = 0;
  if (frames.length > 0) travel(pipe, { kind: "frames", frames }, batchDelayMs);
}

/** Brings an item to the other side, never before what was sent earlier. */
function travel(pipe: PipeState, item: Item, delayMs: number): void {
  const { clock, latencyMs } = pipe.options;
  if (clock === undefined) return arrive(pipe, item);
  const nowMs = clock.monotonicMs();
  const arrivalMs = Math.max(pipe.lastArrivalMs, nowMs + latencyMs() + delayMs);
  pipe.lastArrivalMs = arrivalMs;
  clock.setTimer(() => arrive(pipe, item), arrivalMs - nowMs);
}

function arrive(pipe: PipeState, item: Item): void {
  if (pipe.isCut) return;
  if (pipe.isStalled) {
    pipe.held.push(item);
    return;
  }
  if (item.kind === "close") return pipe.options.onClose(item.reason);
  for (const frame of item.frames) pipe.bytes -= frame.byteLength;
  if (pipe.bytes <= HIGH_WATER_BYTES) for (const resolve of pipe.waiting.splice(0)) resolve();
  pipe.options.onFrames(item.frames);
}
