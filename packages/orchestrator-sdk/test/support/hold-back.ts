/** A link whose peer takes nothing for now: whatever the hub sends on it seems to wait. */
import type { Link } from "@cortex-mesh/protocol";

/** More than the hub lets wait for a node that it still reads. */
const UNTAKEN_BYTES = 1024 * 1024;

export interface HeldLink {
  readonly link: Link;
  /** The peer takes everything from now on. */
  release(): void;
}

export function holdBack(link: Link): HeldLink {
  let isHeld = true;
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  return {
    link: {
      closed: link.closed,
      get bufferedBytes() {
        return isHeld ? UNTAKEN_BYTES : link.bufferedBytes;
      },
      send: (frame) => link.send(frame),
      drained: () => released,
      onFrames: (listener) => link.onFrames(listener),
      close: (reason) => link.close(reason),
    },
    release() {
      isHeld = false;
      release();
    },
  };
}
