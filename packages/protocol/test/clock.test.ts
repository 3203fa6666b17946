import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { systemClock } from "../src/clock.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("T4: a timer of more than 24 days waits that long, and can be cancelled on the way", async () => {
  const delayMs = 2 ** 31 + 1_000;
  const calls: string[] = [];
  systemClock.setTimer(() => calls.push("kept"), delayMs);
  const cancelled = systemClock.setTimer(() => calls.push("cancelled"), delayMs);
  await vi.advanceTimersByTimeAsync(delayMs - 1);
  expect(calls).toEqual([]);
  cancelled.cancel();
  await vi.advanceTimersByTimeAsync(1);
  expect(calls).toEqual(["kept"]);
});
