/**
 * The processes of one task, from the first one to whatever it leaves behind, and how to end them all.
 *
 * Killing the process group alone is not enough: `setsid`, a double fork or a daemon leaves it. On Linux the process
 * table is swept for the tree's marker and sessions, again and again until nothing is found; a group is
 * signalled as a whole, which no fork can slip through. Elsewhere only the group is known.
 *
 * What escapes without a sandbox: a process that leaves session and parent *and* clears its environment; and a tree
 * that doubles faster than it is killed, each process in a session of its own. Levels above `none` close both with a
 * process namespace or a cgroup.
 *
 * - Cost of a pass: 20 µs when nothing was started since, else about 12 µs a process younger than the tree.
 */
import { type Clock, systemClock } from "@cortex-mesh/protocol";
import { KILL_LIMIT_MS, KILL_PAUSE_MS, type KillPass, killUntilGone, pause } from "./kill-until-gone.js";
import { type Marker, markerTest } from "./marker.js";
import { candidatePids, type PidWindowStart } from "./pid-window.js";
import { listLineagePids, type MemberVisitor, sweepOnce } from "./process-sweep.js";
import {
  hasProcessTable,
  listPids,
  type ProcessEntry,
  readEntry,
  readPidCounters,
  readPidLimit,
} from "./process-table.js";

/** The processes of one task. */
export interface ProcessTree {
  /** Sends a signal once to every process of the tree. */
  signal(signal: NodeJS.Signals): void;
  /** Whether a process of the tree is alive. */
  hasMembers(): boolean;
  /** Kills until nothing is left; gives how many processes could not be ended. */
  kill(): Promise<number>;
  /** To call when the first process was waited for: from then on its pid may be somebody else's. */
  markRootGone(): void;
}

/** What {@link createProcessTree} needs. */
export interface ProcessTreeOptions {
  /** The first process, leader of its own session, just started and not yet waited for. */
  readonly rootPid: number;
  readonly marker: Marker;
  /** @default systemClock */
  readonly clock?: Clock;
}

/** Follows the tree of a process that was just started. */
export function createProcessTree(options: ProcessTreeOptions): ProcessTree {
  const clock = options.clock ?? systemClock;
  const root = readEntry(options.rootPid);
  if (!hasProcessTable() || root === undefined) return createGroupTree(options.rootPid, clock);
  return createSweptTree({ ...options, clock, rootStartTicks: root.startTicks });
}

/**
 * Kills every process that carries the marker, and what belongs to it; gives how many could not be ended.
 *
 * For a node that starts: with the marker of its state it ends what an earlier run of it left behind.
 */
export async function sweepMarked(marker: Marker, clock: Clock = systemClock): Promise<number> {
  if (!hasProcessTable()) return 0;
  const isMarked = markerTest(marker);
  const protectedPids = listLineagePids();
  const pass: Pass = (onMember) => {
    const pids = listPids().reverse();
    const scope = { isMarked, sessionIds: new Set<number>(), oldestStartTicks: 0, pids, protectedPids };
    const { members, goneCount, startingCount } = sweepOnce(scope, onMember);
    return { members, isCertain: goneCount + startingCount === 0 };
  };
  return await killUntilGone(killPass(pass), clock);
}

interface PassResult {
  readonly members: readonly ProcessEntry[];
  /** Whether a pass without members proves that there are none. */
  readonly isCertain: boolean;
}

type Pass = (onMember: MemberVisitor) => PassResult;

function createSweptTree(options: Required<ProcessTreeOptions> & { readonly rootStartTicks: number }): ProcessTree {
  let isRootGone = false;
  const pass = createTreePass(options, () => isRootGone);
  // The first group goes first: a parent that saw its child end before could end in an order of its own, or start another.
  // It is looked around before, since a child that left session and environment is known by its living parent alone.
  const signalRoot = (signal: NodeJS.Signals): void => {
    if (isRootGone) return;
    pass(() => {});
    trySignal(-options.rootPid, signal);
  };
  return {
    hasMembers: () => pass(() => {}).members.length > 0,
    kill() {
      signalRoot("SIGKILL");
      return killUntilGone(killPass(pass), options.clock);
    },
    signal(signal) {
      signalRoot(signal);
      const targets = new Set(isRootGone ? [] : [-options.rootPid]);
      pass((_entry, target) => {
        if (!targets.has(target)) trySignal(target, signal);
        targets.add(target);
      });
    },
    markRootGone: () => {
      isRootGone = true;
    },
  };
}

function createTreePass(
  { rootPid, marker, rootStartTicks }: ProcessTreeOptions & { readonly rootStartTicks: number },
  isRootGone: () => boolean,
): Pass {
  const isMarked = markerTest(marker);
  const protectedPids = new Set([process.pid]);
  const start: PidWindowStart = { rootPid, counters: readPidCounters(), pidLimit: readPidLimit() };
  let sessionIds = new Set([rootPid]);
  return (onMember) => {
    const before = readPidCounters();
    const window = candidatePids(start, before, listPids);
    const pids = window ?? listPids().reverse();
    const seen = sweepOnce({ isMarked, sessionIds, oldestStartTicks: rootStartTicks, pids, protectedPids }, onMember);
    // A session is trusted without the marker only while it is seen alive: an empty one's number is given out again.
    sessionIds = new Set(seen.sessionIds);
    if (!isRootGone()) sessionIds.add(rootPid);
    const isStill = window !== undefined && readPidCounters().lastPid === before.lastPid;
    // Where no process was made meanwhile, those that ended leave no child behind that was not looked at.
    return { members: seen.members, isCertain: seen.startingCount === 0 && (isStill || seen.goneCount === 0) };
  };
}

/** One pass that kills what it finds. */
function killPass(pass: Pass): KillPass {
  return () => {
    let refusedCount = 0;
    const { members, isCertain } = pass((_entry, target) => {
      if (trySignal(target, "SIGKILL") === "EPERM") refusedCount += 1;
    });
    return { foundCount: members.length, refusedCount, isCertain };
  };
}

/** The tree where there is no process table: the group of the first process. */
function createGroupTree(rootPid: number, clock: Clock): ProcessTree {
  const hasMembers = (): boolean => trySignal(-rootPid, 0) === undefined;
  return {
    hasMembers,
    signal: (signal) => {
      trySignal(-rootPid, signal);
    },
    async kill() {
      const startedAtMs = clock.monotonicMs();
      while (trySignal(-rootPid, "SIGKILL") === undefined) {
        if (clock.monotonicMs() - startedAtMs > KILL_LIMIT_MS) return 1;
        await pause(clock, KILL_PAUSE_MS);
      }
      return 0;
    },
    markRootGone: () => {},
  };
}

/** Gives undefined when the signal was sent, else the code of the error. */
function trySignal(pid: number, signal: NodeJS.Signals | 0): string | undefined {
  try {
    process.kill(pid, signal);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "UNKNOWN";
  }
}
