import { describe, expect, it } from "vitest";
import { parseForkCount, parseLastPid, parseStat } from "../../src/sandbox/process-table.js";

const STAT =
  "4242 (NAME) S 17 4200 4100 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 8192 1 18446744073709551615 1 1 0 0 0 0 0";

describe("the process table", () => {
  it.each(["sleep", "a b", "a) S 1 1 1", "((", ")", "\xff\xfe"])("E3: a program called %j is read right", (name) => {
    expect(parseStat(STAT.replace("NAME", () => name))).toEqual({
      pid: 4242,
      state: "S",
      parentPid: 17,
      groupId: 4200,
      sessionId: 4100,
      isKernelThread: false,
      startTicks: 987654,
    });
  });

  it("E3: a kernel thread is told apart", () => {
    expect(parseStat(STAT.replace("4194560", "69238880"))?.isKernelThread).toBe(true);
  });

  it.each(["", "garbage", "1 (x", "12 (x) S 1"])("E3: %j is no process", (text) => {
    expect(parseStat(text)).toBeUndefined();
  });

  it("E3: the pid given out last is the last field of loadavg, and 0 means that it is not told", () => {
    expect(parseLastPid("0.10 0.20 0.30 2/151 30211\n")).toBe(30211);
    expect(parseLastPid("0.00 0.00 0.00 0/0 0\n")).toBeUndefined();
    expect(parseLastPid("")).toBeUndefined();
  });

  it("E3: the count of forks is found after the interrupts", () => {
    expect(parseForkCount("intr 1 2 3\nctxt 5\nbtime 6\nprocesses 777\nprocs_running 1\n")).toBe(777);
    expect(parseForkCount("cpu 1 2")).toBeUndefined();
  });
});
