/**
 * Numbered sequences by name, and a transaction's view of them.
 *
 * Entries of a name are numbered from 1 without gaps; the oldest may be dropped, and numbers are never used again. A
 * transaction holds only what it appended, so that its cost does not grow with the log.
 */

/** One sequence: the number of the oldest entry that is kept, and the entries from there on. */
interface Sequence<Entry> {
  firstSeq: number;
  readonly entries: Entry[];
}

/** What a transaction did to one sequence. */
interface LogChange<Entry> {
  readonly appended: Entry[];
  /** Entries below this one are dropped. */
  firstSeq: number;
  isRemoved: boolean;
}

/** What a transaction did to the sequences, by name. */
export type LogChanges<Entry> = Map<string, LogChange<Entry>>;

/** Sequences by name. */
export interface MemoryLog<Entry> {
  /** The kept range; `firstSeq` is 1 and `lastSeq` 0 for a name that is not known. */
  range(name: string): { readonly firstSeq: number; readonly lastSeq: number };
  /** Entries above `afterSeq`, at most `limit`. */
  read(name: string, afterSeq: number, limit: number): Entry[];
  apply(changes: LogChanges<Entry>): void;
  copy(): MemoryLog<Entry>;
}

/** Sequences as one transaction, or a reader outside of any, sees them. */
export interface LogView<Entry> {
  range(name: string): { readonly firstSeq: number; readonly lastSeq: number };
  read(name: string, afterSeq: number, limit: number): Entry[];
  /** Appends what `make` makes for each number from the returned one on. */
  append(name: string, count: number, make: (seq: number, index: number) => Entry): number;
  /** Drops entries below `firstSeq`. */
  dropBelow(name: string, firstSeq: number): void;
  remove(name: string): void;
}

/** Creates a set of sequences. */
export function createMemoryLog<Entry>(source: Iterable<readonly [string, Sequence<Entry>]> = []): MemoryLog<Entry> {
  const sequences = new Map([...source].map(([name, sequence]) => [name, copySequence(sequence)]));
  return {
    range: (name) => {
      const { firstSeq, entries } = sequences.get(name) ?? EMPTY;
      return { firstSeq, lastSeq: firstSeq + entries.length - 1 };
    },
    read: (name, afterSeq, limit) => {
      const { firstSeq, entries } = sequences.get(name) ?? EMPTY;
      const start = Math.max(0, afterSeq + 1 - firstSeq);
      return entries.slice(start, start + limit);
    },
    apply: (changes) => {
      for (const [name, change] of changes) {
        if (change.isRemoved) sequences.delete(name);
        if (change.isRemoved && change.appended.length === 0) continue;
        const sequence = sequences.get(name) ?? { firstSeq: 1, entries: [] };
        sequences.set(name, sequence);
        for (const entry of change.appended) sequence.entries.push(entry);
        const droppedCount = change.firstSeq - sequence.firstSeq;
        if (droppedCount > 0) {
          sequence.entries.splice(0, droppedCount);
          sequence.firstSeq = change.firstSeq;
        }
      }
    },
    copy: () => createMemoryLog(sequences),
  };
}

/** Shows `log` with `changes` over it; writes go to `changes`. `check` is called before each access. */
export function viewLog<Entry>(log: MemoryLog<Entry>, changes: LogChanges<Entry>, check: () => void): LogView<Entry> {
  const committed = (name: string) => (changes.get(name)?.isRemoved ? { firstSeq: 1, lastSeq: 0 } : log.range(name));
  const range = (name: string) => {
    const { firstSeq, lastSeq } = committed(name);
    const change = changes.get(name);
    return { firstSeq: Math.max(firstSeq, change?.firstSeq ?? 1), lastSeq: lastSeq + (change?.appended.length ?? 0) };
  };
  const touch = (name: string): LogChange<Entry> => {
    const change = changes.get(name) ?? { appended: [], firstSeq: 1, isRemoved: false };
    changes.set(name, change);
    return change;
  };
  return {
    range: (name) => {
      check();
      return range(name);
    },
    read: (name, afterSeq, limit) => {
      check();
      const from = Math.max(afterSeq, range(name).firstSeq - 1);
      const { lastSeq } = committed(name);
      const old = from < lastSeq ? log.read(name, from, limit) : [];
      const start = Math.max(0, from - lastSeq);
      const fresh = changes.get(name)?.appended.slice(start, start + limit - old.length) ?? [];
      return [...old, ...fresh];
    },
    append: (name, count, make) => {
      check();
      const firstSeq = range(name).lastSeq + 1;
      const { appended } = touch(name);
      for (let index = 0; index < count; index++) appended.push(make(firstSeq + index, index));
      return firstSeq;
    },
    dropBelow: (name, firstSeq) => {
      check();
      const change = touch(name);
      change.firstSeq = Math.max(change.firstSeq, firstSeq);
    },
    remove: (name) => {
      check();
      changes.set(name, { appended: [], firstSeq: 1, isRemoved: true });
    },
  };
}

const EMPTY: Sequence<never> = { firstSeq: 1, entries: [] };

function copySequence<Entry>(sequence: Sequence<Entry>): Sequence<Entry> {
  return { firstSeq: sequence.firstSeq, entries: [...sequence.entries] };
}
