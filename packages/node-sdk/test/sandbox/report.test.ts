import { describe, expect, it } from "vitest";
import { assertLevelAvailable, unisolatedReport, withOutputLimit } from "../../src/sandbox/report.js";

describe("the isolation report", () => {
  it("E1: without a sandbox nothing is claimed", () => {
    const report = unisolatedReport("/ws", 0);
    expect(report).toMatchObject({ level: "none", driver: "none", workspacePath: "/ws" });
    expect(Object.entries(report.enforced).filter(([, isEnforced]) => isEnforced)).toEqual([]);
    expect(Object.keys(report.enforced).sort()).toEqual([
      "cpu",
      "disk",
      "filesystem",
      "memory",
      "network",
      "nonRoot",
      "output",
      "pids",
      "seccomp",
    ]);
  });

  it.each([
    [0, false],
    [1000, true],
    [undefined, false],
  ])("E1: effective uid %s reports nonRoot %s", (euid, nonRoot) => {
    expect(unisolatedReport("/ws", euid).enforced.nonRoot).toBe(nonRoot);
  });

  it("E1: whoever limits the output adds that, and nothing else", () => {
    const report = unisolatedReport("/ws", 0);
    expect(withOutputLimit(report)).toEqual({ ...report, enforced: { ...report.enforced, output: true } });
  });
});

describe("a level that is asked for", () => {
  it.each(["process", "workspace", "container", "vm", "strict", ""])(
    "E1: %j is refused where only none is proven",
    (level) => {
      expect(() => assertLevelAvailable(level)).toThrow(expect.objectContaining({ code: "SANDBOX_UNAVAILABLE" }));
    },
  );

  it("E1: what is proven, and less, is available", () => {
    assertLevelAvailable("none");
    assertLevelAvailable("process", "workspace");
    expect(() => assertLevelAvailable("container", "workspace")).toThrow(/another node/);
  });
});
