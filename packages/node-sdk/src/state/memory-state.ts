/**
 * The state of a node in memory, with a durable half and a crash: for tests, and for histories that are simulated.
 *
 * What was committed survives {@link MemoryState.crash}; what waits to be committed does not, and its callers never hear.
 */
import { type CommitQueue, createCommitQueue } from "./commit-queue.js";
import {
  type AttemptRecord,
  isForgettable,
  isOpen,
  type NodeState,
  type SettingName,
  type StateTransaction,
} from "./node-state.js";

/** Places of a commit where a process can die: nothing is written yet; everything is, but nobody was told. */
export type MemoryStateStep = "committing" | "committed";

/** How a state in memory behaves. */
export interface MemoryStateOptions {
  /** Called at each step of each commit; a simulation crashes the state from here. */
  readonly onStep?: (step: MemoryStateStep) => void;
}

/** A state that can lose its process. */
export interface MemoryState extends NodeState {
  /** Ends this process' handle as a crash does and gives the handle of the next one. */
  crash(): MemoryState;
}

interface DurableHalf {
  attempts: ReadonlyMap<string, AttemptRecord>;
  settings: ReadonlyMap<SettingName, string>;
}

/** Makes an empty state. */
export function createMemoryState(options: MemoryStateOptions = {}): MemoryState {
  return openMemoryState({ attempts: new Map(), settings: new Map() }, options);
}

function openMemoryState(durable: DurableHalf, options: MemoryStateOptions): MemoryState {
  const { onStep = () => undefined } = options;
  let hasCrashed = false;
  const queue: CommitQueue<StateTransaction> = createCommitQueue({
    commitBatch(run) {
      if (hasCrashed) return;
      const draft = { attempts: new Map(durable.attempts), settings: new Map(durable.settings) };
      run(createTransaction(draft));
      onStep("committing");
      if (hasCrashed) return;
      durable.attempts = draft.attempts;
      durable.settings = draft.settings;
      onStep("committed");
    },
    defer: (run) => queueMicrotask(run),
  });
  return {
    commit: (change) => neverAfter(queue.add(change), () => hasCrashed),
    listOpen: async () => [...durable.attempts.values()].filter(isOpen).sort(byTaskAndAttempt),
    readSetting: async (name) => durable.settings.get(name),
    close: async () => queue.close(),
    crash() {
      hasCrashed = true;
      return openMemoryState({ ...durable }, options);
    },
  };
}

/** A promise that stays pending once its process is gone: nobody is there to hear. */
function neverAfter<T>(result: Promise<T>, isGone: () => boolean): Promise<T> {
  return new Promise((resolve, reject) => {
    result.then(
      (value) => {
        if (!isGone()) resolve(value);
      },
      (error: unknown) => {
        if (!isGone()) reject(error);
      },
    );
  });
}

function createTransaction(draft: {
  readonly attempts: Map<string, AttemptRecord>;
  readonly settings: Map<SettingName, string>;
}): StateTransaction {
  const { attempts, settings } = draft;
  return {
    findTask(taskId) {
      let found: AttemptRecord | undefined;
      for (const record of attempts.values()) {
        if (record.taskId === taskId && record.attempt > (found?.attempt ?? 0)) found = record;
      }
      return found;
    },
    findAttempt: (taskId, attempt) => attempts.get(keyOf(taskId, attempt)),
    put: (record) => void attempts.set(keyOf(record.taskId, record.attempt), { ...record }),
    remove: (taskId, attempt) => void attempts.delete(keyOf(taskId, attempt)),
    forgetBefore(changedAtMs) {
      const old = [...attempts].filter(([, record]) => isForgettable(record) && record.changedAtMs < changedAtMs);
      for (const [key] of old) attempts.delete(key);
      return old.length;
    },
    readSetting: (name) => settings.get(name),
    writeSetting: (name, value) => void settings.set(name, value),
  };
}

function keyOf(taskId: string, attempt: number): string {
  return `${taskId}.${attempt}`;
}

function byTaskAndAttempt(left: AttemptRecord, right: AttemptRecord): number {
  if (left.taskId !== right.taskId) return left.taskId < right.taskId ? -1 : 1;
  return left.attempt - right.attempt;
}
