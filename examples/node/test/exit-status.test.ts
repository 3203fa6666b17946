import { describe, expect, it } from "vitest";
import { CortexError, decodeInvite } from "@cortex-mesh/protocol";
import { exitStatusOf } from "../src/exit-status.js";

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("exit status of the node", () => {
  it.each([
    [new CortexError("NODE_REVOKED", "revoked"), 77],
    [new CortexError("INVITE_REFUSED", "used"), 77],
    [thrownBy(() => decodeInvite("cxi_nonsense")), 65],
    [new CortexError("UNAVAILABLE", "no answer"), 69],
    [new CortexError("STATE_IN_USE", "in use"), 73],
    [Object.assign(new Error("read-only"), { code: "EROFS" }), 73],
    [new CortexError("INTERNAL", "a fault"), 70],
    [new TypeError("a fault"), 70],
  ])("L3: %s ends with %i", (error, status) => {
    expect(exitStatusOf(error)).toBe(status);
  });
});
