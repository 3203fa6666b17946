import { describe, expect, it } from "vitest";
import { CortexError, type Link } from "@cortex-mesh/protocol";
import { createMemoryLinkPair } from "../src/memory-link.js";
import { createSeededRandom } from "../src/random.js";
import { seededFaults } from "../src/seeded-faults.js";
import { createVirtualClock } from "../src/virtual-clock.js";

const frame = (value: number): Uint8Array => Uint8Array.of(value);

describe("a link in memory", () => {
  it("P5: frames arrive in order, one batch a tick, and an orderly close lets them be read first", async () => {
    const [a, b] = createMemoryLinkPair();
    const batches: number[][] = [];
    b.onFrames((frames) => void batches.push(frames.map(([value]) => value ?? -1)));
    a.send(frame(1));
    a.send(frame(2));
    await Promise.resolve();
    a.send(frame(3));
    a.close();
    expect(await b.closed).toBeUndefined();
    expect(batches).toEqual([[1, 2], [3]]);
  });

  it("P5: a fault drops or repeats exactly the frame that it names", async () => {
    const fates = ["deliver", "drop", "duplicate", "deliver"] as const;
    const [a, b] = createMemoryLinkPair({ forward: (_frame, index) => fates[index] ?? "deliver" });
    const seen: number[] = [];
    b.onFrames((frames) => void seen.push(...frames.map(([value]) => value ?? -1)));
    for (const value of [1, 2, 3, 4]) a.send(frame(value));
    a.close();
    await b.closed;
    expect(seen).toEqual([1, 3, 3, 4]);
  });

  it("P5: a listener that throws closes both ends with its error, and a slow one holds the reading back", async () => {
    const [a, b] = createMemoryLinkPair();
    let release = (): void => undefined;
    const seen: number[] = [];
    b.onFrames(async (frames) => {
      seen.push(...frames.map(([value]) => value ?? -1));
      if (seen.includes(1) && seen.length === 1) await new Promise<void>((resolve) => (release = resolve));
      else throw new CortexError("STREAM_GAP", "a hole");
    });
    a.send(frame(1));
    await Promise.resolve();
    a.send(frame(2));
    await Promise.resolve();
    expect(seen).toEqual([1]);
    release();
    expect((await a.closed)?.code).toBe("STREAM_GAP");
    expect((await b.closed)?.code).toBe("STREAM_GAP");
  });
});

describe("a link in memory under faults", () => {
  const collect = (link: Link): number[] => {
    const seen: number[] = [];
    link.onFrames((frames) => void seen.push(...frames.map(([value]) => value ?? -1)));
    return seen;
  };

  it("P5: a frame that is reordered comes behind the next one, one that is delayed holds back what follows", async () => {
    const clock = createVirtualClock();
    const fates = ["reorder", "deliver", { delayMs: 500 }, "deliver"] as const;
    const [a, b] = createMemoryLinkPair({
      clock,
      latencyMs: () => 10,
      forward: (_frame, index) => fates[index] ?? "deliver",
    });
    const seen = collect(b);
    for (const value of [1, 2]) a.send(frame(value));
    await clock.advance(10);
    expect(seen).toEqual([2, 1]);
    a.send(frame(3));
    await clock.advance(1);
    a.send(frame(4));
    await clock.advance(500);
    expect(seen).toEqual([2, 1]);
    await clock.advance(20);
    expect(seen).toEqual([2, 1, 3, 4]);
  });

  it("P5: a stall loses nothing, and a sender waits while much is on its way", async () => {
    const ends = createMemoryLinkPair();
    const [a, b] = ends;
    const seen = collect(b);
    ends.stall();
    a.send(new Uint8Array(512 * 1024).fill(7));
    let isDrained = false;
    void a.drained().then(() => {
      isDrained = true;
    });
    await new Promise((resolve) => void setImmediate(resolve));
    expect([seen, isDrained]).toEqual([[], false]);
    ends.resume();
    await new Promise((resolve) => void setImmediate(resolve));
    expect([seen, isDrained]).toEqual([[7], true]);
  });

  it("P5: a cut that one end hears of is silent to the other, and loses what is under way", async () => {
    const clock = createVirtualClock();
    const ends = createMemoryLinkPair({ clock, latencyMs: () => 10 });
    const [a, b] = ends;
    const seen = collect(b);
    a.send(frame(1));
    ends.cut(["first"]);
    expect((await a.closed)?.code).toBe("UNAVAILABLE");
    let isClosed = false;
    void b.closed.then(() => {
      isClosed = true;
    });
    await clock.advance(60_000);
    expect([seen, isClosed]).toEqual([[], false]);
    ends.cut();
    expect((await b.closed)?.code).toBe("UNAVAILABLE");
  });

  it("P5: faults of a seed are the same each time and as often as asked for", () => {
    const fatesOf = (seed: number): unknown[] => {
      const fault = seededFaults({ random: createSeededRandom(seed), ratios: () => ({ drop: 0.2, duplicate: 0.1 }) });
      return Array.from({ length: 1000 }, (_, index) => fault(frame(0), index));
    };
    expect(fatesOf(1)).toEqual(fatesOf(1));
    expect(fatesOf(1)).not.toEqual(fatesOf(2));
    const drops = fatesOf(1).filter((fate) => fate === "drop").length;
    expect(drops).toBeGreaterThan(150);
    expect(drops).toBeLessThan(250);
  });
});
