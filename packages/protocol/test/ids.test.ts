import { describe, expect, it } from "vitest";
import { systemIds } from "../src/id-source.js";
import { isId, parseId, parseUserId } from "../src/ids.js";
import { catchCortexError } from "./signing/catch-cortex-error.js";

describe("ids", () => {
  it("P4: an id is its prefix and a ULID", () => {
    const id = systemIds.next("task");
    expect(id).toMatch(/^task_[0-9A-HJKMNP-TV-Z]{26}$/);
    expect(isId("task", id)).toBe(true);
    expect(parseId("task", id)).toBe(id);
  });

  it.each([
    "",
    "task_",
    "node_01J0000000000000000000000C",
    "task_01j0000000000000000000000c",
    "task_01J000000000000000000000IL",
    "task_01J0000000000000000000000C/..",
  ])("P4: %j names no task", (text) => {
    expect(catchCortexError(() => parseId("task", text))?.code).toBe("NOT_FOUND");
  });

  it.each(["alice", "a", "A.b-c_d", "0", "x".repeat(128)])("I8: %s is a user id", (text) => {
    expect(parseUserId(text)).toBe(text);
  });

  it.each(["", ".", "..", ".hidden", "a/b", "a b", "ä", "a\n", "x".repeat(129)])("I8: %j is not a user id", (text) => {
    expect(catchCortexError(() => parseUserId(text))?.code).toBe("BAD_NAME");
  });
});
