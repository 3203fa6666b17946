import { describe, expect, it } from "vitest";
import { decideCancel, decideGrant } from "../../src/inbox/decide-grant.js";
import type { AttemptRecord, AttemptState } from "../../src/state/node-state.js";

const FREE = { isDraining: false, hasSlot: true, canStore: true };

function known(state: AttemptState, attempt = 2): AttemptRecord {
  return {
    taskId: "t",
    attempt,
    state,
    grantId: "",
    startedAtMs: 0,
    response: undefined,
    hasLog: false,
    lastLogSeq: 0,
    changedAtMs: 0,
  };
}

describe("what a grant means", () => {
  it.each([
    [FREE, "start"],
    [{ ...FREE, hasSlot: false }, "store"],
    [{ ...FREE, hasSlot: false, canStore: false }, "decline_full"],
    [{ ...FREE, hasSlot: false, isDraining: true }, "decline_draining"],
  ] as const)("E4: an unknown attempt with %j: %s", (situation, decision) => {
    expect(decideGrant(undefined, 1, situation)).toBe(decision);
    for (const state of ["started", "done", "never_started", "finished"] as const) {
      expect(decideGrant(known(state), 3, situation)).toBe(decision);
    }
  });

  it.each([
    ["stored", "repeat", "end_stored"],
    ["started", "repeat", "stop"],
    ["finished", "repeat", "repeat"],
    ["never_started", "repeat", "ignore"],
    ["cancelled_before", "end_cancelled", "ignore"],
    ["done", "ignore", "ignore"],
  ] as const)("E5: a %s attempt is never started again: %s; a cancel: %s", (state, onGrant, onCancel) => {
    for (const isDraining of [true, false]) expect(decideGrant(known(state), 2, { ...FREE, isDraining })).toBe(onGrant);
    expect(decideCancel(known(state), 2)).toBe(onCancel);
    expect(decideGrant(known(state), 1, FREE)).toBe("ignore");
    expect(decideCancel(known(state), 1)).toBe("ignore");
    expect(decideCancel(known(state), 3)).toBe("remember");
  });

  it("E3: a cancel of an unknown attempt is remembered", () => {
    expect(decideCancel(undefined, 1)).toBe("remember");
  });
});
