import { describe, expect, it } from "vitest";
import { candidatePids, type PidWindowStart } from "../../src/sandbox/pid-window.js";

const start = (rootPid: number, lastPid: number | undefined = rootPid): PidWindowStart => ({
  rootPid,
  counters: { lastPid, forkCount: 1000 },
  pidLimit: 32768,
});
const all = Array.from({ length: 32767 }, (_, index) => index + 1);
const neverList = (): number[] => {
  throw new Error("the list of all processes was read");
};

describe("the pids that can belong to a tree", () => {
  it("E3: are the first one alone while nothing else was started, without reading the list", () => {
    expect(candidatePids(start(500), { lastPid: 500, forkCount: 1000 }, neverList)).toEqual([500]);
  });

  it("E3: are tried one by one while they are few, youngest first", () => {
    expect(candidatePids(start(500), { lastPid: 503, forkCount: 1003 }, neverList)).toEqual([503, 502, 501, 500]);
  });

  it("E3: are filtered from the list when they are many, youngest first", () => {
    const pids = candidatePids(start(500), { lastPid: 900, forkCount: 1400 }, () => [1, 400, 499, 500, 700, 900, 901]);
    expect(pids).toEqual([900, 700, 500]);
  });

  it("E3: go round the circle", () => {
    const pids = candidatePids(start(32000), { lastPid: 350, forkCount: 2118 }, () => [
      1, 350, 351, 31999, 32000, 32767,
    ]);
    expect(pids).toEqual([32767, 32000, 350, 1]);
  });

  it.each([
    ["a full circle was made since", start(500), { lastPid: 600, forkCount: 1000 + 32768 }],
    ["nearly a full circle was made since", start(500), { lastPid: 499, forkCount: 1000 + 32766 }],
    ["the count of forks went back", start(500), { lastPid: 600, forkCount: 10 }],
    ["the system does not tell the last pid", start(500, undefined), { lastPid: undefined, forkCount: 1001 }],
    ["the last pid was old when the tree began", start(500, 499), { lastPid: 600, forkCount: 1100 }],
    ["the last pid was far ahead when the tree began", start(500, 9000), { lastPid: 9001, forkCount: 1100 }],
    ["the system does not count forks", start(500), { lastPid: 600, forkCount: undefined }],
    ["the number of pids is unknown", { ...start(500), pidLimit: undefined }, { lastPid: 600, forkCount: 1100 }],
  ])("E3: are all when %s", (_, from, now) => {
    expect(candidatePids(from, now, () => all)).toBeUndefined();
  });
});
