/**
 * The streams of one connection and their common end. Holds C1, C3 and C4 of `hub-connection.ts`.
 */
import { CortexError, type Link } from "@cortex-mesh/protocol";
import type { NodeTaskFrame } from "@cortex-mesh/protocol/gen";
import { createFrameNumbers, type HubFrameBody } from "./frame-numbers.js";
import { untilTaken } from "./until-taken.js";

/** What a stream beside the control stream is for. */
export type LinkKind = "health" | "data";

/** Data streams at once: one is in use; those before it may not have ended yet. */
export const MAX_DATA_STREAMS = 4;

/** The streams of one connection. */
export interface ConnectionStreams {
  readonly sentSeq: number;
  readonly receivedSeq: number;
  readonly isHandling: boolean;
  readonly isClosed: boolean;
  readonly closed: Promise<CortexError>;
  /** @throws CortexError `TOO_LARGE` when the frame is over the limit of a message; nothing was sent then. */
  send(body: HubFrameBody): void;
  /** Resolves when the control stream takes more. */
  drained(): Promise<void>;
  /** Attaches the control stream; frames go to `onFrame` in order, numbered and checked. */
  attachTasks(link: Link, onFrame: (frame: NodeTaskFrame) => void | Promise<void>): void;
  /**
   * Ties another stream's life to the connection's. One of health ends after the control stream, any other at once.
   *
   * @throws CortexError `BAD_REQUEST` for a second one of health, `QUOTA_EXCEEDED` for too many others.
   */
  attachLink(link: Link, kind: LinkKind): void;
  /** Ends them all, once. An orderly end lets the control stream say what is queued. */
  close(reason: CortexError, isOrderly?: boolean): void;
}

/** Makes those of a connection that registered; none is attached yet. */
export function createConnectionStreams(epoch: number): ConnectionStreams {
  const numbers = createFrameNumbers(epoch);
  const links = new Map<Link, LinkKind>();
  let tasks: Link | undefined;
  let isHandling = false;
  let isClosed = false;
  const end = createEnd();
  const send = (body: HubFrameBody): void => {
    if (!isClosed && tasks !== undefined) numbers.send(tasks, body);
  };
  const close = (reason: CortexError, isOrderly = false): void => {
    if (isClosed) return;
    const isSuperseded = reason.code === "SUPERSEDED";
    if (isSuperseded) send({ case: "superseded", value: { epoch: BigInt(epoch) } });
    isClosed = true;
    endStreams({ tasks, links, reason, isOrderly: isOrderly || isSuperseded });
    end.settle(reason);
  };
  const attachLink = (link: Link, kind: LinkKind): void => {
    if (isClosed) throw new CortexError("UNAVAILABLE", "the connection is closed");
    assertRoom([...links.values()], kind);
    links.set(link, kind);
    void link.closed.then(() => links.delete(link));
  };
  return {
    closed: end.closed,
    send,
    close,
    attachLink,
    drained: () => tasks?.drained() ?? Promise.resolve(),
    attachTasks(link, onFrame) {
      if (tasks !== undefined) throw new CortexError("BAD_REQUEST", "the connection has a control stream already");
      if (isClosed) throw new CortexError("UNAVAILABLE", "the connection is closed");
      tasks = link;
      link.onFrames(async (frames) => {
        isHandling = true;
        for (const bytes of frames) {
          const frame = isClosed ? undefined : numbers.accept(bytes);
          if (frame !== undefined) await onFrame(frame);
        }
        await untilTaken(link);
        isHandling = false;
      });
      void link.closed.then((error) => close(error ?? closedByNode()));
    },
    get sentSeq() {
      return numbers.sentSeq;
    },
    get receivedSeq() {
      return numbers.receivedSeq;
    },
    get isHandling() {
      return isHandling;
    },
    get isClosed() {
      return isClosed;
    },
  };
}

function closedByNode(): CortexError {
  return new CortexError("UNAVAILABLE", "the node closed its control stream");
}

function assertRoom(open: readonly LinkKind[], kind: LinkKind): void {
  const count = open.filter((other) => other === kind).length;
  if (kind === "health" && count > 0) {
    throw new CortexError("BAD_REQUEST", "the connection has a health stream already");
  }
  if (count >= MAX_DATA_STREAMS) {
    throw new CortexError("QUOTA_EXCEEDED", `the connection has ${MAX_DATA_STREAMS} data streams already`);
  }
}

function createEnd(): { readonly closed: Promise<CortexError>; settle(reason: CortexError): void } {
  let settle: (reason: CortexError) => void = () => undefined;
  const closed = new Promise<CortexError>((resolve) => {
    settle = resolve;
  });
  return { closed, settle };
}

/** Ends data at once. An orderly end lets the control stream say what is queued, and health waits for it (C4). */
function endStreams(ending: {
  readonly tasks: Link | undefined;
  readonly links: ReadonlyMap<Link, LinkKind>;
  readonly reason: CortexError;
  readonly isOrderly: boolean;
}): void {
  const { tasks, links, reason, isOrderly } = ending;
  const isLast = (kind: string): boolean => isOrderly && tasks !== undefined && kind === "health";
  for (const [link, kind] of links) {
    if (isLast(kind)) void tasks?.closed.then(() => link.close(reason));
    else link.close(reason);
  }
  tasks?.close(isOrderly ? undefined : reason);
}
