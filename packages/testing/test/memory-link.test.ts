import { describe, expect, it } from "vitest";
import { CortexError } from "@cortex-mesh/protocol";
import { createMemoryLinkPair } from "../src/memory-link.js";

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
