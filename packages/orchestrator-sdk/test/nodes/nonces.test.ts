import { describe, expect, it } from "vitest";
import { isCortexError } from "@cortex-mesh/protocol";
import { createNonceMint, MAX_SPENT_BY_ONE, MAX_SPENT_NONCES, NONCE_TTL_MS } from "../../src/nodes/nonces.js";
import { systemRandom } from "../../src/nodes/random.js";
import { createManualClock } from "./open-identity.js";

function setUp() {
  const clock = createManualClock();
  return { clock, mint: createNonceMint({ clock, random: systemRandom }) };
}

describe("nonces", () => {
  it("I3: hold for exactly what they are bound to", () => {
    const { mint } = setUp();
    const nonce = mint.issue(["token", "ab", "c"]);
    expect(mint.isValid(nonce, ["token", "ab", "c"])).toBe(true);
    for (const other of [["token", "a", "bc"], ["token", "abc"], ["token", "ab", "c", ""], []]) {
      expect(mint.isValid(nonce, other)).toBe(false);
    }
    expect(mint.issue(["x"])).not.toEqual(mint.issue(["x"]));
  });

  it("I3: any flipped byte is refused", () => {
    const { mint } = setUp();
    const nonce = mint.issue(["x"]);
    for (let at = 0; at < nonce.byteLength; at += 1) {
      const changed = Uint8Array.from(nonce);
      changed[at] = changed[at]! ^ 1;
      expect(mint.isValid(changed, ["x"])).toBe(false);
    }
  });

  it("I3: expire after a minute by the monotonic clock", () => {
    const { clock, mint } = setUp();
    const nonce = mint.issue(["x"]);
    clock.advance(NONCE_TTL_MS - 1);
    expect(mint.isValid(nonce, ["x"])).toBe(true);
    clock.advance(1);
    expect(mint.isValid(nonce, ["x"])).toBe(false);
  });

  const codeOfSpend = (mint: ReturnType<typeof setUp>["mint"], spender: string): unknown => {
    try {
      return mint.spend(mint.issue([]), spender);
    } catch (error) {
      return isCortexError(error) ? error.code : error;
    }
  };

  it("I3: what is remembered of spent ones is bounded, and expired ones make room", () => {
    const { clock, mint } = setUp();
    for (let count = 0; count < MAX_SPENT_NONCES; count += 1) mint.spend(mint.issue([]), `node ${count >> 6}`);
    expect(codeOfSpend(mint, "newcomer")).toBe("UNAVAILABLE");
    clock.advance(NONCE_TTL_MS + 1);
    const later = mint.issue([]);
    expect(mint.spend(later, "newcomer")).toBe(true);
    expect(mint.spend(later, "newcomer")).toBe(false);
  });

  it("I3: one spender that uses up what it may is refused for a minute, and nobody else", () => {
    const { clock, mint } = setUp();
    for (let count = 0; count < MAX_SPENT_BY_ONE; count += 1) expect(codeOfSpend(mint, "loud")).toBe(true);
    expect(codeOfSpend(mint, "loud")).toBe("UNAVAILABLE");
    expect(codeOfSpend(mint, "quiet")).toBe(true);
    clock.advance(NONCE_TTL_MS + 1);
    expect(codeOfSpend(mint, "loud")).toBe(true);
  });
});
