/**
 * Two ends of a {@link Link} in one process, with faults on demand.
 *
 * Frames keep their order and arrive in a later microtask, one batch for each tick, as on a real stream. What a real
 * stream never does (losing or repeating one frame while it stays open) a fault can do here, to show that the cores notice.
 */
import { CortexError, type FrameListener, type Link, MAX_CONTROL_MESSAGE_BYTES, toCortexError } from "@cortex-mesh/protocol";

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
  let outgoing: Uint8Array[] = [];
  let sentCount = 0;
  let bufferedBytes = 0;
  let incoming: Uint8Array[] = [];
  let incomingBytes = 0;
  let listener: FrameListener | undefined;
  let isReading = false;
  let isClosed = false;
  let isEnding = false;
  let settleClosed: (reason: CortexError | undefined) => void = () => undefined;
  const closed = new Promise<CortexError | undefined>((resolve) => {
    settleClosed = resolve;
  });

  const flush = (): void => {
    const frames = outgoing;
    outgoing = [];
    bufferedBytes = 0;
    if (frames.length > 0) peer?.receive(frames);
  };
  const finish = (reason: CortexError | undefined): void => {
    if (isClosed) return;
    isClosed = true;
    settleClosed(reason);
  };
  const read = async (): Promise<void> => {
    if (isReading || listener === undefined) return;
    isReading = true;
    try {
      while (incoming.length > 0 && !isClosed) {
        const frames = incoming;
        incoming = [];
        incomingBytes = 0;
        await listener(frames);
      }
    } catch (error) {
      link.close(toCortexError(error));
    } finally {
      isReading = false;
      if (isEnding && incoming.length === 0) finish(undefined);
    }
  };

  const link: Link = {
    closed,
    get bufferedBytes() {
      return bufferedBytes;
    },
    send(frame) {
      if (isClosed) return;
      if (frame.byteLength > MAX_CONTROL_MESSAGE_BYTES) throw new CortexError("TOO_LARGE", `a frame of ${frame.byteLength} bytes`);
      const fate = fault(frame, sentCount++);
      if (fate === "drop") return;
      if (outgoing.length === 0) queueMicrotask(flush);
      // The receiver gets bytes of its own, as from a socket.
      for (let copies = fate === "duplicate" ? 2 : 1; copies > 0; copies--) outgoing.push(Uint8Array.from(frame));
      bufferedBytes += frame.byteLength;
    },
    drained: () => Promise.resolve(),
    onFrames(next) {
      listener = next;
      void read();
    },
    close(reason) {
      if (isClosed) return;
      if (reason === undefined) flush();
      finish(reason);
      peer?.finish(reason);
    },
  };
  return {
    link,
    finish(reason) {
      isEnding = true;
      if (reason !== undefined || (incoming.length === 0 && !isReading)) finish(reason);
    },
    connect(other) {
      peer = other;
    },
    receive(frames) {
      if (isClosed) return;
      incoming.push(...frames);
      for (const frame of frames) incomingBytes += frame.byteLength;
      if (incomingBytes > MAX_WAITING_BYTES) link.close(new CortexError("TOO_LARGE", "nobody reads the memory link"));
      void read();
    },
  };
}
