import { tmpdir } from "node:os";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  cpuRatioBetween,
  createHealthMeter,
  type HealthReadings,
  parseCpuTimes,
  usedRatio,
} from "../../src/health/figures.js";

const PROC_STAT = `cpu  100 10 50 800 40 5 15 20 7 3
cpu0 50 5 25 400 20 2 8 10 3 1
intr 1234 0 0
ctxt 99
btime 1700000000
processes 4321
`;

const clock = { nowMs: () => 0, monotonicMs: () => nowMs, setTimer: () => ({ cancel: () => {} }) };
let nowMs = 1000;

describe("processor time", () => {
  it("E7: waiting for a disk is idle, and guests are not counted twice", () => {
    expect(parseCpuTimes(PROC_STAT)).toEqual({ total: 1040, busy: 200 });
  });

  it.each(["", "cpu0 1 2 3 4", "cpu", "processes 1"])("E7: %j has no processor time", (text) => {
    expect(parseCpuTimes(text)).toBeUndefined();
  });

  it("E7: the ratio is what was used of the time between two readings", () => {
    expect(cpuRatioBetween({ busy: 200, total: 1000 }, { busy: 250, total: 1200 })).toBe(0.25);
    expect(cpuRatioBetween({ busy: 200, total: 1000 }, { busy: 200, total: 1000 })).toBeUndefined();
  });

  it("E7: a ratio is between 0 and 1 whatever is read", () => {
    const reading = fc.record({ busy: fc.integer(), total: fc.integer() });
    fc.assert(
      fc.property(reading, reading, (before, after) => {
        const ratio = cpuRatioBetween(before, after) ?? 0;
        expect(ratio).toBeGreaterThanOrEqual(0);
        expect(ratio).toBeLessThanOrEqual(1);
      }),
    );
    expect(usedRatio({ totalBytes: 0, freeBytes: 0 })).toBe(0);
    expect(usedRatio({ totalBytes: 10, freeBytes: 20 })).toBe(0);
  });
});

describe("the health meter", () => {
  it("E7: a sample holds what was read since the last one, and the tasks in flight", async () => {
    const times = [
      { busy: 0, total: 0 },
      { busy: 50, total: 100 },
      { busy: 60, total: 200 },
      { busy: 60, total: 200 },
    ];
    let diskReads = 0;
    const readings: HealthReadings = {
      cpuTimes: () => times.shift()!,
      memory: () => ({ totalBytes: 1000, freeBytes: 250 }),
      disk: () => {
        diskReads += 1;
        return Promise.resolve({ totalBytes: 100, freeBytes: 90 });
      },
    };
    const meter = createHealthMeter({ workspaceRoot: tmpdir(), clock, readings });
    await Promise.resolve().then(() => {});
    await new Promise(setImmediate);
    nowMs = 6000;
    expect(meter.sample({ runningTasks: 3 })).toMatchObject({
      cpuRatio: 0.5,
      memoryRatio: 0.75,
      memoryFreeBytes: 250,
      diskFreeBytes: 90,
      runningTasks: 3,
      uptimeMs: 5000,
    });
    expect(meter.sample({ runningTasks: 0 })).toMatchObject({ cpuRatio: 0.1, runningTasks: 0 });
    // No time passed since: the last ratio stands.
    expect(meter.sample({ runningTasks: 0 }).cpuRatio).toBe(0.1);
    // The reading of the second sample was still under way at the third.
    expect(diskReads).toBe(2);
  });

  it("E7: a disk that does not answer delays no sample, is asked once, and its last figure stands", async () => {
    let diskReads = 0;
    const readings: HealthReadings = {
      cpuTimes: () => ({ busy: 0, total: 0 }),
      memory: () => ({ totalBytes: 1, freeBytes: 1 }),
      disk: () => {
        diskReads += 1;
        return new Promise(() => {});
      },
    };
    const meter = createHealthMeter({ workspaceRoot: tmpdir(), clock, readings });
    for (let samples = 0; samples < 10; samples += 1)
      expect(meter.sample({ runningTasks: 0 }).diskFreeBytes).toBeGreaterThan(0);
    await new Promise(setImmediate);
    expect(diskReads).toBe(1);
  });

  it("E7: a disk that cannot be read keeps its last figure and is asked again", async () => {
    let diskReads = 0;
    const readings: HealthReadings = {
      cpuTimes: () => ({ busy: 0, total: 0 }),
      memory: () => ({ totalBytes: 1, freeBytes: 1 }),
      disk: () => {
        diskReads += 1;
        return Promise.reject(new Error("gone"));
      },
    };
    const meter = createHealthMeter({ workspaceRoot: tmpdir(), clock, readings });
    await new Promise(setImmediate);
    expect(meter.sample({ runningTasks: 0 }).diskFreeBytes).toBeGreaterThan(0);
    expect(diskReads).toBe(2);
  });

  it("E7: the figures of this machine are real and plausible", () => {
    const meter = createHealthMeter({ workspaceRoot: tmpdir() });
    const before = performance.now();
    while (performance.now() - before < 60);
    const figures = meter.sample({ runningTasks: 1 });
    expect(figures.cpuRatio).toBeGreaterThan(0);
    expect(figures.cpuRatio).toBeLessThanOrEqual(1);
    expect(figures.memoryRatio).toBeGreaterThan(0);
    expect(figures.memoryRatio).toBeLessThan(1);
    expect(figures.diskRatio).toBeGreaterThan(0);
    expect(figures.diskRatio).toBeLessThan(1);
    expect(figures.processRssBytes).toBeGreaterThan(10 * 1024 * 1024);
    expect(figures.uptimeMs).toBeGreaterThanOrEqual(60);
    expect(Object.values(figures).every(Number.isFinite)).toBe(true);
  });
});
