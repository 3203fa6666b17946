/**
 * Tells which pids can belong to a tree, so that a sweep need not read every process of the machine.
 *
 * Linux gives out pids in a circle. From the pid of the tree's first process to the pid given out last lie all processes
 * that are younger, as long as fewer were made since than a full circle has. Where that cannot be shown (a system
 * that does not say, a faked `/proc/loadavg`, a full circle), every process is read.
 *
 * Pure.
 */
import type { PidCounters } from "./process-table.js";

/** What was read when the first process of a tree had just been started. */
export interface PidWindowStart {
  readonly rootPid: number;
  readonly counters: PidCounters;
  /** How many pids there are; undefined where the system does not say. */
  readonly pidLimit: number | undefined;
}

/** A window this narrow is tried pid by pid; beyond, filtering the list of all processes is cheaper than failed reads. */
const MAX_PROBED_PIDS = 8;
/** The circle leaves out the lowest pids (300 on Linux), and counters are read a moment apart. */
const CIRCLE_MARGIN = 2048;
/** Pids that others may have taken between the start of the first process and the reading of the counters. */
const START_MARGIN = 1024;

/**
 * The pids to look at, youngest first; undefined means all there are.
 *
 * @param listAll Reads the list of all pids; called only for a wide window.
 */
export function candidatePids(start: PidWindowStart, now: PidCounters, listAll: () => number[]): number[] | undefined {
  const { rootPid, pidLimit } = start;
  if (!isWindowKnown(start, now) || pidLimit === undefined || now.lastPid === undefined) return undefined;
  const lastPid = now.lastPid;
  const hasWrapped = lastPid < rootPid;
  const width = hasWrapped ? pidLimit - rootPid + lastPid : lastPid - rootPid;
  if (!hasWrapped && width <= MAX_PROBED_PIDS) {
    return Array.from({ length: width + 1 }, (_, index) => lastPid - index);
  }
  const isInside = (pid: number): boolean =>
    hasWrapped ? pid >= rootPid || pid <= lastPid : pid >= rootPid && pid <= lastPid;
  return listAll().filter(isInside).reverse();
}

function isWindowKnown(start: PidWindowStart, now: PidCounters): boolean {
  const { counters, pidLimit, rootPid } = start;
  if (pidLimit === undefined || counters.forkCount === undefined || now.forkCount === undefined) return false;
  // A live counter stood at the first process, or a little beyond it, when that had just been started.
  if (counters.lastPid === undefined || counters.lastPid < rootPid || counters.lastPid > rootPid + START_MARGIN) {
    return false;
  }
  const madeSince = now.forkCount - counters.forkCount;
  return madeSince >= 0 && madeSince < pidLimit - CIRCLE_MARGIN;
}
