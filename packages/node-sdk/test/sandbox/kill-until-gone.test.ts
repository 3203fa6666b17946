import { describe, expect, it } from "vitest";
import type { Clock } from "@cortex-mesh/protocol";
import {
  KILL_LIMIT_MS,
  type KillPassResult,
  killUntilGone,
  MAX_UNCERTAIN_PASSES,
} from "../../src/sandbox/kill-until-gone.js";

/** A clock on which every wait is over at once. */
function createSteppingClock(): Clock {
  let nowMs = 0;
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    setTimer(run, delayMs) {
      nowMs += delayMs;
      queueMicrotask(run);
      return { cancel: () => {} };
    },
  };
}

const found = (foundCount: number, refusedCount = 0): KillPassResult => ({
  foundCount,
  refusedCount,
  isCertain: false,
});
const nothing: KillPassResult = { foundCount: 0, refusedCount: 0, isCertain: true };
const unsure: KillPassResult = { ...nothing, isCertain: false };

async function run(results: readonly KillPassResult[]): Promise<{ survivors: number; passes: number }> {
  let passes = 0;
  const pass = (): KillPassResult => results[Math.min(passes++, results.length - 1)]!;
  return { survivors: await killUntilGone(pass, createSteppingClock()), passes };
}

describe("killing until nothing is left", () => {
  it("E3: goes on as long as a pass finds something", async () => {
    expect(await run([found(3), found(2), found(1), found(4), found(1), nothing])).toEqual({ survivors: 0, passes: 6 });
  });

  it("E3: goes on when a pass found nothing but may have missed something", async () => {
    expect(await run([unsure, found(1), unsure, nothing])).toEqual({ survivors: 0, passes: 4 });
  });

  it("E3: takes many uncertain passes in a row for an end, on a machine that never rests", async () => {
    expect(await run([found(1), unsure])).toEqual({ survivors: 0, passes: 1 + MAX_UNCERTAIN_PASSES });
  });

  it("E3: stops at once when only processes are left that may not be signalled", async () => {
    expect(await run([found(3, 1), found(1, 1)])).toEqual({ survivors: 1, passes: 2 });
  });

  it("E3: gives up after its limit and says how many are left", async () => {
    const { survivors, passes } = await run([found(2)]);
    expect(survivors).toBe(2);
    expect(passes).toBeGreaterThan(KILL_LIMIT_MS / 10);
  });
});
