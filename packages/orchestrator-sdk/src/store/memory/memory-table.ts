/**
 * Rows by key, and a transaction's view of them: its own changes over what is committed.
 *
 * Only what a transaction touches is copied; everything else is read through.
 */

/** Rows by key, in key order. */
export interface MemoryTable<Row> {
  get(key: string): Row | undefined;
  /** Keys above `after`, rising. */
  keysAfter(after: string): Iterable<string>;
  apply(changes: TableChanges<Row>): void;
  copy(): MemoryTable<Row>;
}

/** What a transaction did: the new row, or `undefined` for one that is gone. */
export type TableChanges<Row> = ReadonlyMap<string, Row | undefined>;

/** Rows as one transaction, or a reader outside of any, sees them. */
export interface TableView<Row> {
  get(key: string): Row | undefined;
  /** Rows with a key above `after`, in key order. */
  rowsAfter(after: string): Iterable<Row>;
  set(key: string, row: Row): void;
  remove(key: string): void;
}

/** Creates a table. */
export function createMemoryTable<Row>(source: Iterable<readonly [string, Row]> = []): MemoryTable<Row> {
  const rows = new Map(source);
  const keys = [...rows.keys()].sort(compareText);
  return {
    get: (key) => rows.get(key),
    keysAfter: function* (after) {
      for (let index = firstAbove(keys, after); index < keys.length; index++) yield keys[index] as string;
    },
    apply: (changes) => {
      for (const [key, row] of changes) {
        const position = firstAbove(keys, key);
        if (row === undefined) {
          if (rows.delete(key)) keys.splice(position - 1, 1);
        } else {
          if (!rows.has(key)) keys.splice(position, 0, key);
          rows.set(key, row);
        }
      }
    },
    copy: () => createMemoryTable(rows),
  };
}

/** Shows `table` with `changes` over it; writes go to `changes`. `check` is called before each access. */
export function viewTable<Row>(
  table: MemoryTable<Row>,
  changes: Map<string, Row | undefined>,
  check: () => void,
): TableView<Row> {
  const get = (key: string): Row | undefined => (changes.has(key) ? changes.get(key) : table.get(key));
  return {
    get: (key) => {
      check();
      return get(key);
    },
    rowsAfter: function* (after) {
      check();
      for (const key of mergedKeys(table, changes, after)) {
        const row = get(key);
        if (row !== undefined) yield row;
      }
    },
    set: (key, row) => {
      check();
      changes.set(key, row);
    },
    remove: (key) => {
      check();
      changes.set(key, undefined);
    },
  };
}

function mergedKeys<Row>(table: MemoryTable<Row>, changes: TableChanges<Row>, after: string): Iterable<string> {
  const added = [...changes.keys()].filter((key) => key > after && table.get(key) === undefined);
  if (added.length === 0) return table.keysAfter(after);
  return [...table.keysAfter(after), ...added].sort(compareText);
}

/** The order of the code units, as in every store: ids are ASCII. */
function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function firstAbove(keys: readonly string[], after: string): number {
  // Ids rise, so the place is nearly always the end.
  let low = 0;
  let high = keys.length;
  if (high > 0 && (keys[high - 1] as string) <= after) return high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as string) <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}
