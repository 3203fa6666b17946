import { describe, expect, it } from "vitest";
import { parseWorkspacePath } from "../../src/sessions/workspace-path.js";

/** Path, the code it is refused with. */
const REFUSED: readonly (readonly [string, string])[] = [
  ["/etc", "PATH_OUTSIDE_WORKSPACE"],
  ["..", "PATH_OUTSIDE_WORKSPACE"],
  ["a/../../b", "PATH_OUTSIDE_WORKSPACE"],
  ["a/..", "PATH_OUTSIDE_WORKSPACE"],
  ["C:/Users", "PATH_OUTSIDE_WORKSPACE"],
  ["", "BAD_NAME"],
  [".", "BAD_NAME"],
  ["./", "BAD_NAME"],
  ["a\0b", "BAD_NAME"],
  ["a\nb", "BAD_NAME"],
  ["a\\..\\b", "BAD_NAME"],
  ["a\ud800", "BAD_NAME"],
  [".cortex", "BAD_NAME"],
  ["a/.CORTEX/b", "BAD_NAME"],
  [".cor\u200dtex", "BAD_NAME"],
  [".cortex. ", "BAD_NAME"],
  ["\uff0ecortex", "BAD_NAME"],
  ["x".repeat(256), "BAD_NAME"],
  ["é".repeat(128), "BAD_NAME"],
  [Array.from({ length: 21 }, () => "x".repeat(200)).join("/"), "BAD_NAME"],
];

describe("parseWorkspacePath", () => {
  it.each(REFUSED)("H6: the workspace path %j is refused with %s", (path, code) => {
    expect(() => parseWorkspacePath(path)).toThrow(expect.objectContaining({ code }));
  });

  it.each([
    ["project", "project"],
    ["a/b", "a/b"],
    ["./a//b/", "a/b"],
    ["…/ünï code", "…/ünï code"],
    [".cortexes", ".cortexes"],
    ["x".repeat(255), "x".repeat(255)],
  ])("H6: the workspace path %j is kept as %j", (path, normal) => {
    expect(parseWorkspacePath(path)).toBe(normal);
  });
});
