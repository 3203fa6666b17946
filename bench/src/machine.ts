/** What a figure depends on besides the code: the machine, without its name. */
import { execFileSync } from "node:child_process";
import { statfsSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";

/** Facts of the machine and the state of the sources. */
export interface MachineFacts {
  readonly cores: number;
  readonly cpuModel: string;
  readonly memoryGib: number;
  readonly node: string;
  readonly kernel: string;
  readonly platform: string;
}

/** Reads them. */
export function readMachineFacts(): MachineFacts {
  return {
    cores: availableParallelism(),
    cpuModel: cpus()[0]?.model ?? "unknown",
    memoryGib: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    kernel: release(),
    platform: `${process.platform} ${process.arch}`,
  };
}

/** Processes that wanted to run during the last minute: above the number of cores, figures are disturbed. */
export function readLoad(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100;
}

/** The commit that is checked out, with `-dirty` when files of the repository differ from it. */
export function readCommit(): string {
  try {
    const run = (...args: string[]): string => execFileSync("git", args, { encoding: "utf8" }).trim();
    // The page and its proof are written by this program: they say nothing about what was measured.
    const changes = run("status", "--porcelain", "--", ":!docs/proof", ":!docs/benchmarks.md");
    return `${run("rev-parse", "HEAD")}${changes === "" ? "" : "-dirty"}`;
  } catch {
    // A copy of the sources without git measures as well.
    return "unknown";
  }
}

const TMPFS_MAGIC = 0x0102_1994;

/** Whether a directory is in memory, where an fsync costs nothing. */
export function isInMemory(directory: string): boolean {
  return statfsSync(directory).type === TMPFS_MAGIC;
}
