/**
 * Two ends of a {@link Link} in one process, with faults on demand.
 *
 * Frames keep their order and arrive in a later microtask, or after a latency of a clock, one batch for each tick, as on a
 * real stream. What a real stream never does (losing or repeating one frame while it stays open) a fault can do here, to
 * show that the cores notice.
 */
import { type Clock, CortexError, type FrameListener, type Link, toCortexError } from "@cortex-mesh/protocol";
import { createPipe, type FrameFault, type Pipe } from "./memory-pipe.js";

export type { FrameFate, FrameFault } from "./memory-pipe.js";

/** Faults of the two directions of a pair. */
export interface LinkFaults {
  /** Frames from the first end to the second. */
  readonly forward?: FrameFault | undefined;
  /** Frames from the second end to the first. */
  readonly backward?: FrameFault | undefined;
  /** Moves the frames; without one they arrive in the next microtask. */
  readonly clock?: Clock | undefined;
  /** Latency of each batch, in milliseconds; needs the clock. @default none */
  readonly latencyMs?: (() => number) | undefined;
}

/** Ends of a pair. */
export type LinkEnd = "first" | "second";

/** What can be done to a pair while it is in use. */
export interface LinkControls {
  /**
   * Breaks it: what is under way is lost and nothing follows. Ends that hear of it close with `UNAVAILABLE`; to the others it
   * is as silent as a dead path. @param hears default both
   */
  cut(hears?: readonly LinkEnd[]): void;
  /** Nothing arrives in either direction until `resume`; nothing is lost. */
  stall(): void;
  /** Ends a stall: what was held arrives. */
  resume(): void;
}

/** Two ends of a link and what can be done to it. */
export type MemoryLinkPair = readonly [Link, Link] & LinkControls;

/** Frames that wait for a listener, at most; a test that fills it has lost its reader. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

const DELIVER: FrameFault = () => "deliver";

/** Makes the two ends of a link. */
export function createMemoryLinkPair(faults: LinkFaults = {}): MemoryLinkPair {
  const first = createEnd();
  const second = createEnd();
  const pipeTo = (end: End, fault: FrameFault = DELIVER): Pipe =>
    createPipe({
      fault,
      clock: faults.clock,
      latencyMs: faults.latencyMs ?? (() => 0),
      onFrames: end.receive,
      onClose: end.finish,
    });
  const forward = pipeTo(second, faults.forward);
  const backward = pipeTo(first, faults.backward);
  first.sendTo(forward);
  second.sendTo(backward);
  const controls: LinkControls = {
    cut(hears = ["first", "second"]) {
      forward.cut();
      backward.cut();
      const reason = new CortexError("UNAVAILABLE", "the connection broke");
      if (hears.includes("first")) first.finish(reason);
      if (hears.includes("second")) second.finish(reason);
    },
    stall() {
      forward.stall();
      backward.stall();
    },
    resume() {
      forward.resume();
      backward.resume();
    },
  };
  return Object.assign([first.link, second.link] as const, controls);
}

interface End {
  readonly link: Link;
  sendTo(pipe: Pipe): void;
  receive(frames: readonly Uint8Array[]): void;
  /** The other end is over: at once with a reason, else when everything was read. */
  finish(reason: CortexError | undefined): void;
}

function createEnd(): End {
  let out: Pipe | undefined;
  let isClosed = false;
  let settleClosed: (reason: CortexError | undefined) => void = () => undefined;
  const closed = new Promise<CortexError | undefined>((resolve) => {
    settleClosed = resolve;
  });
  const settle = (reason: CortexError | undefined): void => {
    if (isClosed) return;
    isClosed = true;
    inbox.discard();
    out?.release();
    settleClosed(reason);
  };
  const close = (reason?: CortexError): void => {
    if (isClosed) return;
    settle(reason);
    out?.close(reason);
  };
  const inbox = createInbox(close);
  const link: Link = {
    closed,
    get bufferedBytes() {
      return isClosed ? 0 : (out?.bytes ?? 0);
    },
    send(frame) {
      if (!isClosed) out?.send(frame);
    },
    drained: () => out?.drained() ?? Promise.resolve(),
    onFrames: (listener) => inbox.listen(listener),
    close,
  };
  return {
    link,
    sendTo(pipe) {
      out = pipe;
    },
    receive(frames) {
      if (!isClosed) inbox.add(frames);
    },
    finish(reason) {
      if (isClosed) return;
      if (reason === undefined) inbox.whenRead(() => settle(undefined));
      else settle(reason);
    },
  };
}

/** Frames that came, handed to the listener one batch after the other. */
function createInbox(close: (reason: CortexError) => void) {
  let frames: Uint8Array[] = [];
  let bytes = 0;
  let listener: FrameListener | undefined;
  let isReading = false;
  let onRead: (() => void) | undefined;
  const read = async (): Promise<void> => {
    if (isReading || listener === undefined) return;
    isReading = true;
    try {
      while (frames.length > 0) {
        const batch = frames;
        frames = [];
        bytes = 0;
        await listener(batch);
      }
    } catch (error) {
      close(toCortexError(error));
    } finally {
      isReading = false;
      onRead?.();
    }
  };
  return {
    listen(next: FrameListener): void {
      listener = next;
      void read();
    },
    add(batch: readonly Uint8Array[]): void {
      frames.push(...batch);
      for (const frame of batch) bytes += frame.byteLength;
      if (bytes > MAX_WAITING_BYTES) close(new CortexError("TOO_LARGE", "nobody reads the memory link"));
      void read();
    },
    discard(): void {
      frames = [];
    },
    /** Calls `then` when nothing is left to read. */
    whenRead(then: () => void): void {
      onRead = then;
      if (!isReading && frames.length === 0) then();
    },
  };
}
