import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { systemIds } from "@cortex-mesh/protocol";
import {
  CHALLENGE_INTERVAL_MS,
  judgeProof,
  nextTokenStep,
  REFRESH_GRACE_MS,
  refreshRatio,
} from "../../src/link/token-life.js";
import { TOKEN_TTL_MS } from "../../src/nodes/tokens.js";

describe("the token of an open connection", () => {
  it("I3: is refreshed between 50 and 70 % of its life, and connections are spread over that time", () => {
    const ratios = Array.from({ length: 200 }, (_, epoch) => refreshRatio(systemIds.next("node"), epoch));
    expect(Math.min(...ratios)).toBeGreaterThanOrEqual(0.5);
    expect(Math.max(...ratios)).toBeLessThan(0.7);
    expect(Math.max(...ratios) - Math.min(...ratios)).toBeGreaterThan(0.15);
    const nodeId = systemIds.next("node");
    expect(refreshRatio(nodeId, 3)).toBe(refreshRatio(nodeId, 3));
  });

  it.each([
    ["before its time there is nothing to do but wait for it", undefined, 0, { kind: "wait", forMs: 360_000 }],
    ["at its time it is asked for", undefined, 360_000, { kind: "challenge" }],
    ["the answer has a while", 360_000, 370_000, { kind: "wait", forMs: CHALLENGE_INTERVAL_MS - 10_000 }],
    ["without an answer it is asked for again", 360_000, 420_000, { kind: "challenge" }],
    ["the last wait ends with the connection", 640_000, 650_000, { kind: "wait", forMs: 10_000 }],
    ["a token that is over is still asked for", 540_000, 600_000, { kind: "challenge" }],
    ["a minute after its end the connection is over", 640_000, 660_000, { kind: "close" }],
    ["also when nobody looked for a long time", undefined, 10_000_000, { kind: "close" }],
  ])("I3: %s", (...[, challengedAtMs, nowMs, step]) => {
    expect(nextTokenStep({ expiresAtMs: TOKEN_TTL_MS, ratio: 0.6, challengedAtMs }, nowMs)).toEqual(step);
  });

  it("I3: whatever happens, each look is followed by another one, and none comes after the end", () => {
    const moment = fc.integer({ min: -1_000_000, max: 1_000_000 });
    const life = fc.record({
      expiresAtMs: moment,
      ratio: fc.double({ min: 0.5, max: 0.7, noNaN: true }),
      challengedAtMs: fc.option(moment, { nil: undefined }),
    });
    fc.assert(
      fc.property(life, moment, (token, nowMs) => {
        const step = nextTokenStep(token, nowMs);
        const closeAtMs = token.expiresAtMs + REFRESH_GRACE_MS;
        expect(step.kind === "close").toBe(nowMs >= closeAtMs);
        if (step.kind === "wait") {
          expect(step.forMs).toBeGreaterThan(0);
          expect(nowMs + step.forMs).toBeLessThanOrEqual(closeAtMs + 1e-6);
        }
      }),
    );
  });

  it("I3: a proof counts for the open challenge alone", () => {
    const [open, lapsed, other] = [1, 2, 3].map((byte) => new Uint8Array(56).fill(byte)) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    const challenges = { open, lapsed };
    expect(judgeProof(challenges, Uint8Array.from(open))).toBe("open");
    expect(judgeProof(challenges, lapsed)).toBe("lapsed");
    expect(judgeProof(challenges, other)).toBe("foreign");
    expect(judgeProof({ open: undefined, lapsed: undefined }, new Uint8Array(0))).toBe("foreign");
  });
});
