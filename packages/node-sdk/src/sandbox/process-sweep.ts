/**
 * One pass over the process table: finds the members of a tree and tells each to a visitor the moment it is found.
 *
 * A process is a member when it carries the marker, or is in a session of the tree, or was started by a member.
 *
 * (S1) Pid 1 and the protected pids (this process at least) are never members.
 * (S2) A member's identity (pid and start) is read right before the visitor is called.
 * (S3) Ended processes (zombies) and kernel threads are no members.
 * (S4) A session belongs to the tree only when its leader does, or is gone; never this process' own. Its groups may be
 * signalled as a whole; of any other session only the marked process itself.
 */
import { type ProcessEntry, readEntry, readEnviron } from "./process-table.js";

/** Which processes are looked for. */
export interface SweepScope {
  readonly isMarked: (environ: Buffer) => boolean;
  /** Sessions known to belong to the tree; members without the marker are found by them. */
  readonly sessionIds: ReadonlySet<number>;
  /** Processes started before are older than the tree, in clock ticks since boot; 0 for none. */
  readonly oldestStartTicks: number;
  /** Pids to look at, youngest first. */
  readonly pids: readonly number[];
  /** Never members. */
  readonly protectedPids: ReadonlySet<number>;
}

/** Called for a member; `target` is what to signal: the pid, or the negated number of its group. */
export type MemberVisitor = (entry: ProcessEntry, target: number) => void;

/** What a pass saw. */
export interface SweepResult {
  readonly members: readonly ProcessEntry[];
  /** Sessions of the members that belong to the tree. */
  readonly sessionIds: ReadonlySet<number>;
  /** Processes that were gone when they were looked at: one may have started a child that was not looked at. */
  readonly goneCount: number;
  /** Processes that were just being started, so that their environment could not be read yet. */
  readonly startingCount: number;
}

/** Whether a process has ended and only waits for its parent to notice. */
export function hasEnded(entry: ProcessEntry): boolean {
  return entry.state === "Z" || entry.state === "X";
}

/** Looks at the pids of `scope` once; calls `onMember` for each member when it is found. */
export function sweepOnce(scope: SweepScope, onMember: MemberVisitor): SweepResult {
  const sessions = createSessionJudge(scope);
  const members = new Map<number, ProcessEntry>();
  const others: ProcessEntry[] = [];
  let goneCount = 0;
  let startingCount = 0;
  const add = (entry: ProcessEntry): void => {
    members.set(entry.pid, entry);
    const isOwned = sessions.isOfTree(entry);
    onMember(entry, isOwned && entry.groupId > 1 ? -entry.groupId : entry.pid);
  };
  for (const pid of scope.pids) {
    if (pid <= 1 || scope.protectedPids.has(pid)) continue;
    const entry = readEntry(pid);
    if (entry === undefined) goneCount += 1;
    if (entry === undefined || entry.isKernelThread || hasEnded(entry)) continue;
    if (entry.startTicks < scope.oldestStartTicks) continue;
    if (sessions.isKnown(entry.sessionId)) add(entry);
    else {
      const environ = readEnviron(pid);
      if (environ?.length === 0) startingCount += 1;
      if (environ !== undefined && scope.isMarked(environ)) add(entry);
      else others.push(entry);
    }
  }
  addRelatives({ others, members, sessions, add });
  return { members: [...members.values()], sessionIds: sessions.seen(), goneCount, startingCount };
}

interface Relatives {
  readonly others: readonly ProcessEntry[];
  readonly members: ReadonlyMap<number, ProcessEntry>;
  readonly sessions: SessionJudge;
  readonly add: (entry: ProcessEntry) => void;
}

/** Adds those without the marker that a member started or that share a session with one, until there are no more. */
function addRelatives({ others, members, sessions, add }: Relatives): void {
  let left = others;
  for (let before = -1; members.size !== before && left.length > 0; ) {
    before = members.size;
    left = left.filter((entry) => {
      if (!members.has(entry.parentPid) && !sessions.isKnown(entry.sessionId)) return true;
      const now = readEntry(entry.pid);
      if (now !== undefined && now.startTicks === entry.startTicks && !hasEnded(now)) add(now);
      return false;
    });
  }
}

interface SessionJudge {
  /** Whether the session was found to belong to the tree before. */
  isKnown(sessionId: number): boolean;
  /** Whether the session of a member belongs to the tree (S4). */
  isOfTree(member: ProcessEntry): boolean;
  /** The sessions of the tree that have members. */
  seen(): ReadonlySet<number>;
}

function createSessionJudge(scope: SweepScope): SessionJudge {
  const known = new Set(scope.sessionIds);
  const seen = new Set<number>();
  const judge = (sessionId: number): boolean => {
    if (sessionId <= 1 || sessionId === ownSessionId()) return false;
    const leader = readEntry(sessionId);
    if (leader === undefined || hasEnded(leader)) return true;
    if (scope.protectedPids.has(sessionId)) return false;
    if (scope.oldestStartTicks > 0) return leader.startTicks >= scope.oldestStartTicks;
    const environ = readEnviron(sessionId);
    return environ !== undefined && scope.isMarked(environ);
  };
  return {
    isKnown: (sessionId) => known.has(sessionId),
    isOfTree({ pid, sessionId }) {
      if (!known.has(sessionId) && sessionId !== pid && !judge(sessionId)) return false;
      known.add(sessionId);
      seen.add(sessionId);
      return true;
    },
    seen: () => seen,
  };
}

let cachedOwnSessionId: number | undefined;

/** A process of Node cannot change its session, so it is read once. */
function ownSessionId(): number | undefined {
  cachedOwnSessionId ??= readEntry(process.pid)?.sessionId;
  return cachedOwnSessionId;
}

/** This process and those it descends from. */
export function listLineagePids(): Set<number> {
  const pids = new Set([process.pid]);
  for (let pid = process.ppid; pid > 1 && !pids.has(pid); ) {
    pids.add(pid);
    pid = readEntry(pid)?.parentPid ?? 0;
  }
  return pids;
}
