/**
 * The figures of a heartbeat: what the machine is doing now, measured, never guessed.
 *
 * - Cost: a sample is synchronous and takes under a millisecond. The disk is read in the background, since a network
 *   file system may take its time; its figure is that of the sample before.
 */
import { readFileSync, statfsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { cpus, freemem, loadavg, totalmem } from "node:os";
import { type Clock, systemClock } from "@cortex-mesh/protocol";

/** What the machine did since the last sample. Ratios are 0..1 and mean "in use". */
export interface HealthFigures {
  readonly cpuRatio: number;
  readonly memoryRatio: number;
  readonly memoryFreeBytes: number;
  /** Mean over a minute of the processes that run or want to; 0 where the system has none. */
  readonly loadAverage1: number;
  readonly diskFreeBytes: number;
  readonly diskRatio: number;
  readonly runningTasks: number;
  readonly processRssBytes: number;
  /** How long this meter, and so the node, has been running. */
  readonly uptimeMs: number;
}

/** Processor time since boot, in any unit. */
export interface CpuTimes {
  readonly busy: number;
  readonly total: number;
}

/** A file system, in bytes. */
export interface DiskSpace {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** Where a meter reads from; of the system by default. */
export interface HealthReadings {
  cpuTimes(): CpuTimes;
  memory(): { readonly totalBytes: number; readonly freeBytes: number };
  disk(): Promise<DiskSpace>;
}

/** What {@link createHealthMeter} needs. */
export interface HealthMeterOptions {
  /** Directory of the workspaces; must exist. */
  readonly workspaceRoot: string;
  /** @default systemClock */
  readonly clock?: Clock;
  readonly readings?: HealthReadings;
}

/** Measures the machine. */
export interface HealthMeter {
  sample(now: { readonly runningTasks: number }): HealthFigures;
}

/** Starts to measure; the first sample covers the time since then. */
export function createHealthMeter(options: HealthMeterOptions): HealthMeter {
  const clock = options.clock ?? systemClock;
  const readings = options.readings ?? systemReadings(options.workspaceRoot);
  const startedAtMs = clock.monotonicMs();
  let lastTimes = readings.cpuTimes();
  let cpuRatio = 0;
  let disk = toDiskSpace(statfsSync(options.workspaceRoot));
  let isReadingDisk = false;

  const readDisk = (): void => {
    if (isReadingDisk) return;
    isReadingDisk = true;
    readings
      .disk()
      .then(
        (space) => {
          disk = space;
        },
        () => {
          // The directory is gone or not readable now; the last known figure stays until it is back.
        },
      )
      .finally(() => {
        isReadingDisk = false;
      });
  };
  readDisk();

  return {
    sample({ runningTasks }) {
      const times = readings.cpuTimes();
      cpuRatio = cpuRatioBetween(lastTimes, times) ?? cpuRatio;
      lastTimes = times;
      const memory = readings.memory();
      readDisk();
      return {
        cpuRatio,
        memoryRatio: usedRatio(memory),
        memoryFreeBytes: memory.freeBytes,
        loadAverage1: loadavg()[0] ?? 0,
        diskFreeBytes: disk.freeBytes,
        diskRatio: usedRatio(disk),
        runningTasks,
        processRssBytes: process.memoryUsage.rss(),
        uptimeMs: clock.monotonicMs() - startedAtMs,
      };
    },
  };
}

/** The share of processor time that was used between two readings; undefined when no time passed. */
export function cpuRatioBetween(before: CpuTimes, after: CpuTimes): number | undefined {
  const total = after.total - before.total;
  if (total <= 0) return undefined;
  return clampRatio((after.busy - before.busy) / total);
}

/** The share in use; 0 when there is nothing to use. */
export function usedRatio({ totalBytes, freeBytes }: DiskSpace): number {
  return totalBytes <= 0 ? 0 : clampRatio(1 - freeBytes / totalBytes);
}

/**
 * Parses the first line of Linux' `/proc/stat`: `cpu user nice system idle iowait irq softirq steal guest guest_nice`.
 *
 * Waiting for a disk is idle time, and guests are counted in `user` already. Undefined when it is no such line.
 */
export function parseCpuTimes(text: string): CpuTimes | undefined {
  const line = /^cpu +([\d ]+)$/m.exec(text);
  if (line?.[1] === undefined) return undefined;
  const times = line[1].trim().split(/ +/).slice(0, 8).map(Number);
  const total = times.reduce((sum, time) => sum + time, 0);
  return { busy: total - (times[3] ?? 0) - (times[4] ?? 0), total };
}

function systemReadings(workspaceRoot: string): HealthReadings {
  return {
    cpuTimes: readCpuTimes,
    memory: () => ({ totalBytes: totalmem(), freeBytes: freemem() }),
    disk: async () => toDiskSpace(await statfs(workspaceRoot)),
  };
}

function readCpuTimes(): CpuTimes {
  if (process.platform === "linux") {
    const times = parseCpuTimes(readFileSync("/proc/stat", "latin1"));
    if (times !== undefined) return times;
  }
  let busy = 0;
  let total = 0;
  for (const { times } of cpus()) {
    const used = times.user + times.nice + times.sys + times.irq;
    busy += used;
    total += used + times.idle;
  }
  return { busy, total };
}

interface FileSystemBlocks {
  readonly bsize: number;
  readonly blocks: number;
  readonly bavail: number;
}

/** Free is what a user without privileges may take. */
function toDiskSpace({ bsize, blocks, bavail }: FileSystemBlocks): DiskSpace {
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
}

function clampRatio(ratio: number): number {
  return Math.min(1, Math.max(0, ratio));
}
