/**
 * Two ends of a {@link Link} in one process, with faults on demand.
 *
 * Frames keep their order and arrive in a later microtask, one batch for each tick, as on a real stream. What a real
 * stream never does (losing or repeating one frame while it stays open) a fault can do here, to show that the cores notice.
 */
import {
  CortexError,
  type FrameListener,
  type Link,
  MAX_CONTROL_MESSAGE_BYTES,
  toCortexError,
} from "@cortex-mesh/protocol";

/** What happens to one frame on its way. */
export type FrameFate = "deliver" | "drop" | "duplicate";

/** Decides the fate of each frame; `index` counts the frames of one direction from 0. */
export type FrameFault = (frame: Uint8Array, index: number) => FrameFate;

/** Faults of the two directions of a pair. */
export interface LinkFaults {
  /** Frames from the first end to the second. */
  readonly forward?: FrameFault | undefined;
  readonly backward?: FrameFault | undefined;
}

/** Frames that wait for a listener, at most; a test that fills it has lost its reader. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** Makes the two ends of a link. */
export function createMemoryLinkPair(faults: LinkFaults = {}): readonly [Link, Link] {
  const first = createEnd(faults.forward);
  const second = createEnd(faults.backward);
  first.connect(second);
  second.connect(first);
  return [first.link, second.link];
}

interface End {
  readonly link: Link;
  connect(peer: End): void;
  receive(frames: readonly Uint8Array[]): void;
  /** The other end is over: at once with a reason, else when everything was read. */
  finish(reason: CortexError | undefined): void;
}

function createEnd(fault: FrameFault = () => "deliver"): End {
  let peer: End | undefined;
  let isClosed = false;
  let settleClosed: (reason: CortexError | undefined) => void = () => undefined;
  const closed = new Promise<CortexError | undefined>((resolve) => {
    settleClosed = resolve;
  });
  const settle = (reason: CortexError | undefined): void => {
    isClosed = true;
    inbox.discard();
    settleClosed(reason);
  };
  const close = (reason?: CortexError): void => {
    if (isClosed) return;
    if (reason === undefined) outbox.flush();
    settle(reason);
    peer?.finish(reason);
  };
  const outbox = createOutbox(fault, (frames) => peer?.receive(frames));
  const inbox = createInbox(close);
  const link: Link = {
    closed,
    get bufferedBytes() {
      return outbox.bytes();
    },
    send(frame) {
      if (!isClosed) outbox.add(frame);
    },
    drained: () => Promise.resolve(),
    onFrames: (listener) => inbox.listen(listener),
    close,
  };
  return {
    link,
    connect(other) {
      peer = other;
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

/** Frames of one tick, handed over together in the next microtask. */
function createOutbox(fault: FrameFault, deliver: (frames: readonly Uint8Array[]) => void) {
  let frames: Uint8Array[] = [];
  let bytes = 0;
  let count = 0;
  const flush = (): void => {
    const batch = frames;
    frames = [];
    bytes = 0;
    if (batch.length > 0) deliver(batch);
  };
  return {
    bytes: () => bytes,
    flush,
    add(frame: Uint8Array): void {
      if (frame.byteLength > MAX_CONTROL_MESSAGE_BYTES) {
        throw new CortexError("TOO_LARGE", `a frame of ${frame.byteLength} bytes is over the limit`);
      }
      const fate = fault(frame, count++);
      if (fate === "drop") return;
      if (frames.length === 0) queueMicrotask(flush);
      // The receiver gets bytes of its own, as from a socket.
      for (let copies = fate === "duplicate" ? 2 : 1; copies > 0; copies--) frames.push(Uint8Array.from(frame));
      bytes += frame.byteLength;
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
