import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HubId, InviteId } from "../src/ids.js";
import { decodeInvite, encodeInvite, hubServerName, type Invite, MAX_INVITE_CHARS } from "../src/invite.js";
import { catchCortexError } from "./signing/catch-cortex-error.js";

const INVITE: Invite = {
  address: "hub.example.com:50051",
  caFingerprint: "ab".repeat(32),
  inviteId: "inv_01J0000000000000000000000E" as InviteId,
  secret: new Uint8Array(32).fill(7),
};
const GOLDEN =
  "cxi_ARVodWIuZXhhbXBsZS5jb206NTAwNTEBq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6seaW52XzAxSjAwMDAwMDAwMDAwMDAwMDAwMDAwMDBFBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcslsdNw";

const reasonOf = (text: string) => {
  const error = catchCortexError(() => decodeInvite(text));
  return error === undefined ? undefined : `${error.code} ${error.details["reason"]}`;
};

const arbitraryInvite: fc.Arbitrary<Invite> = fc.record({
  address: fc.stringMatching(/^[a-z0-9.:[\]-]{1,60}$/),
  caFingerprint: fc.option(fc.stringMatching(/^[0-9a-f]{64}$/), { nil: undefined }),
  inviteId: fc.stringMatching(/^inv_[0-9A-HJKMNP-TV-Z]{26}$/).map((id) => id as InviteId),
  secret: fc.uint8Array({ minLength: 32, maxLength: 32 }),
});

describe("an invite", () => {
  it("I1: has one committed text", () => {
    expect(encodeInvite(INVITE)).toBe(GOLDEN);
    expect(decodeInvite(GOLDEN)).toEqual(INVITE);
  });

  it("I1: comes back from its text, with white space around it", () => {
    fc.assert(
      fc.property(arbitraryInvite, (invite) => {
        expect(decodeInvite(` \n${encodeInvite(invite)}\r\n`)).toEqual(invite);
      }),
    );
  });

  it("I1: any single changed, added or removed character is caught", () => {
    const other = fc.constantFrom(..."ABCXYZabcxyz0189-_=+ /\n~é");
    fc.assert(
      fc.property(arbitraryInvite, fc.nat(), other, (invite, at, character) => {
        const text = encodeInvite(invite);
        const index = at % text.length;
        const changed = text.slice(0, index) + character + text.slice(index + 1);
        if (changed !== text) expect(reasonOf(changed)).toMatch(/^INVITE_REFUSED /);
        expect(reasonOf(text.slice(0, index) + text.slice(index + 1))).toMatch(/^INVITE_REFUSED /);
        const added = `${text.slice(0, index)}${character}${text.slice(index)}`;
        if (added.trim() !== text) expect(reasonOf(added)).toMatch(/^INVITE_REFUSED /);
      }),
      { numRuns: 500 },
    );
  });

  it("I1: every character of one invite is covered by the check", () => {
    for (let index = 0; index < GOLDEN.length; index += 1) {
      for (const character of "Aa0_-") {
        if (GOLDEN[index] === character) continue;
        expect(reasonOf(GOLDEN.slice(0, index) + character + GOLDEN.slice(index + 1))).toBeDefined();
      }
    }
  });

  it("I1: a text that was cut short is told from one that was altered", () => {
    for (let length = 5; length < GOLDEN.length; length += 1) {
      expect(reasonOf(GOLDEN.slice(0, length))).toBe("INVITE_REFUSED truncated");
    }
    expect(reasonOf(`${GOLDEN}A`)).toBe("INVITE_REFUSED altered");
    expect(reasonOf(GOLDEN.replace(/.$/, (last) => (last === "A" ? "Q" : "A")))).toBe("INVITE_REFUSED altered");
  });

  it("I1: an invite of a newer version says to update, whatever its body is", () => {
    expect(reasonOf(NEWER)).toBe("INVITE_REFUSED newer_version");
  });

  it.each(["", "cxi", "hello", "https://example.com", `cxi_${"A".repeat(MAX_INVITE_CHARS)}`])(
    "I1: %j is not an invite",
    (text) => {
      expect(reasonOf(text)).toBe("INVITE_REFUSED not_an_invite");
    },
  );

  it("I1: a refusal never repeats the text", () => {
    expect(catchCortexError(() => decodeInvite(`${GOLDEN}A`))?.message).not.toContain(GOLDEN.slice(4, 20));
  });

  it("I1: what cannot be written is refused", () => {
    for (const over of [
      { address: "" },
      { address: "a b:1" },
      { caFingerprint: "AB".repeat(32) },
      { secret: new Uint8Array(31) },
    ]) {
      expect(() => encodeInvite({ ...INVITE, ...over })).toThrow(RangeError);
    }
  });

  it("I5: the name in a hub's certificate comes from its id alone", () => {
    expect(hubServerName("hub_01J0000000000000000000000A" as HubId)).toBe("hub-01j0000000000000000000000a.cortex");
  });
});

/** Version 2 with a body that this version cannot read, and a check that holds. */
const NEWER = "cxi_AgkJCQMRzjIg";
