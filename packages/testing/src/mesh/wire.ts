/**
 * The network between one node and the hub: latency, faults of frames, partitions and cuts; the connections that are open.
 */
import type { Clock, Link } from "@cortex-mesh/protocol";
import { createMemoryLinkPair, type LinkEnd, type MemoryLinkPair } from "../memory-link.js";
import type { SeededRandom } from "../random.js";
import { type FaultKind, type FaultRatios, seededFaults } from "../seeded-faults.js";

/** The streams of a connection. */
export type StreamKind = "tasks" | "health" | "logs";

/** Gives the frames that take the place of one: none when it is lost, two when it comes twice. */
export type FrameChange = (frame: Uint8Array) => readonly Uint8Array[];

/** Something between hub and nodes that changes encoded frames; asked for each stream that is opened. */
export interface FrameTamper {
  /** For frames from the hub. */
  readonly down?: ((kind: StreamKind) => FrameChange) | undefined;
  /** For frames from the node. */
  readonly up?: ((kind: StreamKind) => FrameChange) | undefined;
}

/** What a wire is made of. */
export interface WireOptions {
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly latencyMs: { readonly min: number; readonly max: number };
  readonly ratios: (kind: StreamKind) => FaultRatios;
  readonly onFault: (kind: FaultKind, stream: StreamKind) => void;
  readonly tamper: FrameTamper;
}

/** The network between one node and the hub; the first end of each stream is the node's. */
export interface Wire {
  readonly isPartitioned: boolean;
  /** Resolves when something that leaves now has arrived; waits for the end of a partition. */
  travel(): Promise<void>;
  /** Opens a stream; gives the node's end, and the hub's with what tampers with it. */
  open(kind: StreamKind): readonly [Link, Link];
  /** Nothing passes until `heal`; nothing is lost. */
  partition(): void;
  heal(): void;
  /** Breaks every open stream; only the ends that are named hear of it, after a partition. */
  cut(hears: readonly LinkEnd[]): void;
  /** Streams whose node's end is open. */
  readonly openCount: number;
}

/** Makes the wire of a node. */
export function createWire(options: WireOptions): Wire {
  const { clock, random, latencyMs, tamper } = options;
  const pairs = new Set<MemoryLinkPair>();
  let isPartitioned = false;
  /** Ends that hear of a break when the partition is over. */
  const owed: (() => void)[] = [];
  /** Streams that broke without the node hearing of it: whatever it sends is answered by a reset, once there is a path. */
  const half = new Set<MemoryLinkPair>();
  let waiting: (() => void)[] = [];
  const latency = (): number => random.between(latencyMs.min, latencyMs.max);
  const pass = (): Promise<void> =>
    isPartitioned ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve();
  return {
    get isPartitioned() {
      return isPartitioned;
    },
    get openCount() {
      return pairs.size;
    },
    async travel() {
      await new Promise<void>((resolve) => clock.setTimer(resolve, latency()));
      while (isPartitioned) await pass();
    },
    open(kind) {
      const fault = () =>
        seededFaults({ random, ratios: () => options.ratios(kind), onFault: (fault) => options.onFault(fault, kind) });
      const pair = createMemoryLinkPair({ clock, latencyMs: latency, forward: fault(), backward: fault() });
      pairs.add(pair);
      void pair[0].closed.then(() => pairs.delete(pair));
      if (isPartitioned) pair.stall();
      return [pair[0], tampered(pair[1], kind, tamper)];
    },
    partition() {
      isPartitioned = true;
      for (const pair of pairs) pair.stall();
    },
    heal() {
      isPartitioned = false;
      for (const pair of pairs) pair.resume();
      for (const tell of owed.splice(0)) tell();
      for (const pair of half) pair.cut(["first"]);
      half.clear();
      for (const resolve of waiting.splice(0)) resolve();
    },
    cut(hears) {
      for (const pair of [...pairs]) {
        pair.cut(isPartitioned ? [] : hears);
        if (isPartitioned) owed.push(() => pair.cut(hears));
        if (!hears.includes("first")) half.add(pair);
      }
    },
  };
}

/** The hub's end of a stream with something in between. */
function tampered(link: Link, kind: StreamKind, tamper: FrameTamper): Link {
  const down = tamper.down?.(kind);
  const up = tamper.up?.(kind);
  if (down === undefined && up === undefined) return link;
  return {
    closed: link.closed,
    get bufferedBytes() {
      return link.bufferedBytes;
    },
    send(frame) {
      for (const each of down?.(frame) ?? [frame]) link.send(each);
    },
    drained: () => link.drained(),
    onFrames: (listener) =>
      link.onFrames(up === undefined ? listener : (frames) => listener(frames.flatMap((frame) => [...up(frame)]))),
    close: (reason) => link.close(reason),
  };
}
