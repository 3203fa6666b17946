/** Looks at processes of this machine through `/proc`. */
import { readdirSync, readFileSync } from "node:fs";

/** Resident memory of a process in MiB. */
export function residentMib(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
}

/** Open descriptors of a process. */
export function countDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Processes that carry a mark in their command line. */
export function countMarked(mark: string): number {
  const hasMark = (pid: string): boolean => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(mark);
    } catch {
      // It ended between the listing and the look.
      return false;
    }
  };
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && hasMark(name)).length;
}
