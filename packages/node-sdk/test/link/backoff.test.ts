import { describe, expect, it } from "vitest";
import { afterLink, type BackoffState, INITIAL_BACKOFF, MAX_SHORT_LINKS, nextDelay } from "../../src/link/backoff.js";
import { judgeFrame } from "../../src/link/frame-order.js";
import { isTailLost } from "../../src/link/tail-loss.js";

/** The windows of `count` tries that follow each other without a pause. */
function windows(state: BackoffState, count: number, nowMs: number): number[] {
  const found: number[] = [];
  for (let at = 0; at < count; at += 1) {
    const next = nextDelay(state, { nowMs, random: 1 });
    found.push(Math.round(next.delayMs));
    state = next.state;
  }
  return found;
}

describe("waits between dials", () => {
  it("T4: after a healthy link they begin at 100 ms and reach 1 s", () => {
    const state = afterLink(INITIAL_BACKOFF, 0, 60_000);
    expect(windows(state, 8, 60_000)).toEqual([100, 150, 225, 338, 506, 759, 1_000, 1_000]);
  });

  it("T4: 30 s after the link, or without one, they double up to 60 s", () => {
    const state = afterLink(INITIAL_BACKOFF, 0, 60_000);
    const slow = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000];
    expect(windows(state, 8, 90_000)).toEqual(slow);
    expect(windows(INITIAL_BACKOFF, 8, 0)).toEqual(slow);
  });

  it("T4: a few short links in a row get short waits too, each a little longer; then the long waits go on", () => {
    let state: BackoffState = { ...INITIAL_BACKOFF, slowTries: 4 };
    for (const firstMs of [100, 150, 225, 338, 506]) {
      state = afterLink(state, 1_000, 1_500);
      expect(windows(state, 1, 1_500)).toEqual([firstMs]);
    }
    expect(windows(afterLink(state, 1_000, 1_500), 2, 1_500)).toEqual([1_000, 2_000]);
  });

  it("T4: a link that held makes the short waits new", () => {
    const state = { healthyUntilMs: undefined, fastTries: 0, slowTries: 5, shortLinks: MAX_SHORT_LINKS };
    expect(afterLink(state, 1_000, 5_999)).toEqual(state);
    expect(afterLink(state, 1_000, 6_000)).toEqual({
      healthyUntilMs: 6_000,
      fastTries: 0,
      slowTries: 0,
      shortLinks: 0,
    });
  });

  it("T4: a wait is spread over its whole window", () => {
    expect(nextDelay(INITIAL_BACKOFF, { nowMs: 0, random: 0 }).delayMs).toBe(0);
    expect(nextDelay(INITIAL_BACKOFF, { nowMs: 0, random: 0.25 }).delayMs).toBe(250);
  });
});

describe("the order of frames", () => {
  it.each([
    ["next", 3n, 5n],
    ["duplicate", 2n, 5n],
    ["gap", 4n, 5n],
    ["stale", 3n, 4n],
    ["gap", 3n, 6n],
  ] as const)("T8: it is %s for number %s of epoch %s after number 2 of epoch 5", (verdict, seq, epoch) => {
    expect(judgeFrame(2, 5n, { seq, epoch })).toBe(verdict);
  });

  it("T8: a tail counts as lost only after two looks between which nothing arrived", () => {
    const behind = { peerSentSeq: 3, receivedSeq: 2 };
    expect(isTailLost(undefined, behind)).toBe(false);
    expect(isTailLost(behind, behind)).toBe(true);
    expect(isTailLost(behind, { peerSentSeq: 4, receivedSeq: 3 })).toBe(false);
    expect(isTailLost({ peerSentSeq: 2, receivedSeq: 2 }, behind)).toBe(false);
  });
});
