import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { systemIds } from "@cortex-mesh/protocol";
import {
  CHALLENGE_INTERVAL_MS,
  judgeProof,
  LONGEST_LOOK_MS,
  MAX_LAPSED_CHALLENGES,
  type Moment,
  NO_CHALLENGES,
  nextTokenStep,
  REFRESH_GRACE_MS,
  refreshRatio,
  supersede,
  type TokenLife,
  type TokenStep,
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

  const token = { expiresAtMs: TOKEN_TTL_MS, expiresAtWallMs: TOKEN_TTL_MS, ratio: 0.6 };
  const at = (monotonicMs: number, wallMs = monotonicMs): Moment => ({
    nowMs: () => wallMs,
    monotonicMs: () => monotonicMs,
  });
  const asked = (askedAtMs: number, challengedAtMs = askedAtMs) => ({ ...token, askedAtMs, challengedAtMs });
  const unasked: TokenLife = { ...token, askedAtMs: undefined, challengedAtMs: undefined };

  it.each<[string, TokenLife, Moment, TokenStep]>([
    ["before its time there is nothing to do but look again", unasked, at(0), { kind: "wait", forMs: LONGEST_LOOK_MS }],
    ["just before its time the look is at its time", unasked, at(359_000), { kind: "wait", forMs: 1_000 }],
    ["at its time it is asked for", unasked, at(360_000), { kind: "challenge" }],
    [
      "the answer has a while",
      asked(360_000),
      at(360_000 + CHALLENGE_INTERVAL_MS - 10_000),
      { kind: "wait", forMs: 10_000 },
    ],
    ["without an answer it is asked for again", asked(360_000), at(420_000), { kind: "challenge" }],
    ["the last wait ends with the connection", asked(360_000, 640_000), at(650_000), { kind: "wait", forMs: 10_000 }],
    ["a token that is over is still asked for", asked(360_000, 540_000), at(600_000), { kind: "challenge" }],
    ["a minute after its end the connection is over", asked(360_000, 640_000), at(660_000), { kind: "close" }],
    ["when nobody looked for a long time it is asked for first", unasked, at(10_000_000), { kind: "challenge" }],
    ["and let go when no answer came for a minute", asked(10_000_000), at(10_060_000), { kind: "close" }],
    ["a wall clock that jumps forward has it asked for", unasked, at(1_000, 86_400_000), { kind: "challenge" }],
    [
      "the answer has a while then, too",
      asked(1_000),
      at(50_000, 86_450_000),
      { kind: "wait", forMs: REFRESH_GRACE_MS - 49_000 },
    ],
    ["which ends", asked(1_000, 61_000), at(61_000, 86_461_000), { kind: "close" }],
    ["a wall clock that jumps back makes none live longer", unasked, at(360_000, -86_400_000), { kind: "challenge" }],
  ])("I3: %s", (...[, life, moment, step]) => {
    expect(nextTokenStep(life, moment)).toEqual(step);
  });

  it("I3: whatever the clocks do, each look is followed by another one soon, and none comes after the end", () => {
    const moment = fc.integer({ min: -1_000_000, max: 1_000_000 });
    const maybe = fc.option(moment, { nil: undefined });
    const life = fc.record({
      expiresAtMs: moment,
      expiresAtWallMs: moment,
      ratio: fc.double({ min: 0.5, max: 0.7, noNaN: true }),
      askedAtMs: maybe,
      challengedAtMs: moment,
    });
    fc.assert(
      fc.property(life, moment, moment, ({ challengedAtMs, ...rest }, nowMs, wallMs) => {
        const step = nextTokenStep(
          { ...rest, challengedAtMs: rest.askedAtMs === undefined ? undefined : challengedAtMs },
          at(nowMs, wallMs),
        );
        const leftMs = Math.min(rest.expiresAtMs - nowMs, rest.expiresAtWallMs - wallMs);
        const isOver =
          rest.askedAtMs !== undefined && leftMs <= -REFRESH_GRACE_MS && nowMs - rest.askedAtMs >= REFRESH_GRACE_MS;
        expect(step.kind === "close").toBe(isOver);
        if (step.kind !== "wait") return;
        expect(step.forMs).toBeGreaterThan(0);
        expect(step.forMs).toBeLessThanOrEqual(LONGEST_LOOK_MS);
      }),
    );
  });

  it("I3: a proof counts for the open challenge alone; one over an older challenge is no fault", () => {
    const nonces = Array.from({ length: MAX_LAPSED_CHALLENGES + 3 }, (_, byte) => new Uint8Array(56).fill(byte + 1));
    const [answered, ...others] = nonces as [Uint8Array, ...Uint8Array[]];
    const asked = others.reduce(supersede, NO_CHALLENGES);
    expect(others.map((nonce) => judgeProof(asked, Uint8Array.from(nonce)))).toEqual([
      "foreign",
      ...Array.from({ length: MAX_LAPSED_CHALLENGES }, () => "lapsed"),
      "open",
    ]);
    expect(judgeProof(asked, answered)).toBe("foreign");
    const refreshed = supersede(asked, undefined);
    expect(judgeProof(refreshed, others.at(-1) ?? answered)).toBe("lapsed");
    expect(judgeProof(NO_CHALLENGES, new Uint8Array(0))).toBe("foreign");
  });
});
