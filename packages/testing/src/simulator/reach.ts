/**
 * When nodes were down, and when word may not have come through to them. The oracle bears with a process that runs on for
 * so long, no longer.
 */

/** What is known of the reach of nodes, by their names. */
export interface Reach {
  /** The process of the node is gone, in order or not. */
  died(node: string): void;
  setOnline(node: string, isOnline: boolean): void;
  /** Something happened to the path: word may take so long. */
  disturbed(node: string, forMs: number): void;
  /** Whether its process went between two times, in virtual milliseconds. */
  hasDied(node: string, fromMs: number, toMs: number): boolean;
  /** How long it was down between two times. */
  downMs(node: string, fromMs: number, toMs: number): number;
  /** How long it was down or cut off between two times. */
  cutOffMs(node: string, fromMs: number, toMs: number): number;
}

interface Interval {
  readonly fromMs: number;
  toMs: number;
}

interface NodeReach {
  readonly deathsMs: number[];
  readonly down: Interval[];
  /** All that lies within `down` as well. */
  readonly cutOff: Interval[];
}

/** Makes the record of a history. */
export function createReach(nowMs: () => number): Reach {
  const nodes = new Map<string, NodeReach>();
  const of = (node: string): NodeReach => {
    const known = nodes.get(node) ?? { deathsMs: [], down: [], cutOff: [] };
    nodes.set(node, known);
    return known;
  };
  const open = (intervals: Interval[]): void => {
    if (intervals.every(({ toMs }) => toMs !== Number.POSITIVE_INFINITY)) {
      intervals.push({ fromMs: nowMs(), toMs: Number.POSITIVE_INFINITY });
    }
  };
  const close = (intervals: Interval[]): void => {
    for (const interval of intervals) if (interval.toMs === Number.POSITIVE_INFINITY) interval.toMs = nowMs();
  };
  return {
    died(node) {
      of(node).deathsMs.push(nowMs());
      open(of(node).down);
      open(of(node).cutOff);
    },
    setOnline(node, isOnline) {
      if (!isOnline) return open(of(node).cutOff);
      close(of(node).down);
      close(of(node).cutOff);
    },
    disturbed(node, forMs) {
      of(node).cutOff.push({ fromMs: nowMs(), toMs: nowMs() + forMs });
    },
    hasDied: (node, fromMs, toMs) => of(node).deathsMs.some((atMs) => atMs >= fromMs && atMs <= toMs),
    downMs: (node, fromMs, toMs) => covered(of(node).down, fromMs, toMs),
    cutOffMs: (node, fromMs, toMs) => covered(of(node).cutOff, fromMs, toMs),
  };
}

/** How much of a time the intervals cover together. */
function covered(intervals: readonly Interval[], fromMs: number, toMs: number): number {
  let sumMs = 0;
  let reachedMs = fromMs;
  for (const interval of [...intervals].sort((a, b) => a.fromMs - b.fromMs)) {
    const beginMs = Math.max(interval.fromMs, reachedMs);
    const endMs = Math.min(interval.toMs, toMs);
    if (endMs <= beginMs) continue;
    sumMs += endMs - beginMs;
    reachedMs = endMs;
  }
  return sumMs;
}
