/**
 * Reads the process table of Linux from `/proc`: who exists, who started it, in which session, with which environment.
 *
 * Reads are synchronous on purpose: a sweep must act on what it read before the process moves on, and one read takes
 * about 12 µs. A process is identified by its pid and its start, since pids are used again.
 *
 * - Output: `undefined` for a process that is gone; it never throws for one that ends while it is read.
 * - Source: proc_pid_stat(5), proc_pid_environ(5), proc_loadavg(5).
 */
import { closeSync, openSync, readdirSync, readSync } from "node:fs";

/** One process as the kernel shows it. */
export interface ProcessEntry {
  readonly pid: number;
  /** One letter, `R`, `S`, `D`, `T`, `Z`, …; `Z` and `X` have ended. */
  readonly state: string;
  readonly parentPid: number;
  readonly groupId: number;
  readonly sessionId: number;
  readonly isKernelThread: boolean;
  /** Clock ticks since boot. */
  readonly startTicks: number;
}

/** The numbers that tell which pids can be new. */
export interface PidCounters {
  /** The pid that was given out last, in this pid namespace; undefined where the system does not say. */
  readonly lastPid: number | undefined;
  /** Processes and threads made since boot, on the whole machine; undefined where the system does not say. */
  readonly forkCount: number | undefined;
}

const READ_BYTES = 64 * 1024;
/** Larger than what `execve` takes for arguments and environment on any common setting (a quarter of the stack). */
const MAX_ENVIRON_BYTES = 8 * 1024 * 1024;
const KERNEL_THREAD_FLAG = 0x0020_0000;
const DIGITS = /^[0-9]+$/;

const shared = Buffer.allocUnsafe(READ_BYTES);

/** Whether this system has a process table to read. */
export function hasProcessTable(): boolean {
  return process.platform === "linux" && readEntry(process.pid) !== undefined;
}

/** Every pid there is, ascending. */
export function listPids(): number[] {
  const pids: number[] = [];
  for (const name of readdirSync("/proc")) if (DIGITS.test(name)) pids.push(Number(name));
  return pids;
}

/** Reads one process; undefined when it is gone. */
export function readEntry(pid: number): ProcessEntry | undefined {
  const bytes = readProcFile(`/proc/${pid}/stat`);
  return bytes === undefined ? undefined : parseStat(bytes.toString("latin1"));
}

/**
 * Reads the environment that a process started with.
 *
 * Empty while the process is being started and when it has ended; undefined when it is gone or belongs to a user
 * whose processes may not be read.
 */
export function readEnviron(pid: number): Buffer | undefined {
  return readProcFile(`/proc/${pid}/environ`);
}

/** Reads the counters; about 20 µs. */
export function readPidCounters(): PidCounters {
  const loadAverage = readProcFile("/proc/loadavg");
  const lastPid = loadAverage === undefined ? undefined : parseLastPid(loadAverage.toString("latin1"));
  const stat = readProcFile("/proc/stat");
  // The line stands near the end, after the interrupt counters, which are long on large machines.
  const forkCount =
    stat === undefined ? undefined : parseForkCount(stat.toString("latin1", Math.max(0, stat.length - 4096)));
  return { lastPid, forkCount };
}

/** Reads how many pids there are before they are used again. */
export function readPidLimit(): number | undefined {
  const bytes = readProcFile("/proc/sys/kernel/pid_max");
  const limit = bytes === undefined ? Number.NaN : Number.parseInt(bytes.toString("latin1"), 10);
  return Number.isSafeInteger(limit) && limit > 0 ? limit : undefined;
}

/** Parses `/proc/<pid>/stat`. The name of the program is in parentheses and may hold spaces and parentheses. */
export function parseStat(text: string): ProcessEntry | undefined {
  const nameEnd = text.lastIndexOf(")");
  const pid = Number.parseInt(text, 10);
  if (nameEnd === -1 || !Number.isSafeInteger(pid)) return undefined;
  const fields = text.slice(nameEnd + 2).split(" ", 20);
  const [state, parentPid, groupId, sessionId] = fields;
  const startTicks = Number(fields[19]);
  if (state === undefined || !Number.isFinite(startTicks)) return undefined;
  return {
    pid,
    state,
    parentPid: Number(parentPid),
    groupId: Number(groupId),
    sessionId: Number(sessionId),
    isKernelThread: (Number(fields[6]) & KERNEL_THREAD_FLAG) !== 0,
    startTicks,
  };
}

/** Parses the last field of `/proc/loadavg`. */
export function parseLastPid(text: string): number | undefined {
  const lastPid = Number.parseInt(text.trimEnd().split(" ")[4] ?? "", 10);
  return Number.isSafeInteger(lastPid) && lastPid > 0 ? lastPid : undefined;
}

/** Parses the `processes` line of `/proc/stat`. */
export function parseForkCount(text: string): number | undefined {
  const match = /^processes (\d+)$/m.exec(text);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/** Gives the whole file; what fits the shared buffer is a view that the next read overwrites. */
function readProcFile(path: string): Buffer | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, "r");
    const sizeBytes = readSync(descriptor, shared, 0, READ_BYTES, null);
    if (sizeBytes < READ_BYTES) return shared.subarray(0, sizeBytes);
    return readRest(descriptor, Buffer.from(shared));
  } catch {
    // Gone, or not ours to read: both mean that there is nothing to learn about it.
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function readRest(descriptor: number, first: Buffer): Buffer {
  const parts = [first];
  for (let totalBytes = first.length; totalBytes < MAX_ENVIRON_BYTES; ) {
    const sizeBytes = readSync(descriptor, shared, 0, READ_BYTES, null);
    if (sizeBytes === 0) break;
    parts.push(Buffer.from(shared.subarray(0, sizeBytes)));
    totalBytes += sizeBytes;
  }
  return Buffer.concat(parts);
}
