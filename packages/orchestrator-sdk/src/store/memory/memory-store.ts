/**
 * A {@link HubStore} in memory, with a volatile and a durable half: for tests, demos and the simulator.
 *
 * A transaction that commits is in the volatile half, which every read sees; a sync moves it to the durable half, which
 * is what {@link MemoryStore.crash} leaves. By default every commit syncs before it resolves, as the contract demands.
 * Another `syncEvery` makes a store that lies about durability, to show what that costs.
 *
 * It uses no timer and no turn of the event loop, so that a simulation replays to the same result.
 */
import { storeClosed, storeOverloaded, transactionEnded } from "../refusal.js";
import type { HubStore, StoreTransaction } from "../store.js";
import { memoryKeys, memoryOwned, memoryUsers } from "./memory-records.js";
import {
  applyMemoryChanges,
  copyMemoryState,
  createMemoryChanges,
  createMemoryState,
  type MemoryChanges,
  type MemoryState,
  type MemoryView,
  viewMemory,
} from "./memory-state.js";
import { memoryEvents, memoryFeed, memorySessions, memoryTasks } from "./memory-tasks.js";

/** Transactions that wait, at most; the same bound as the SQL stores have. */
const MAX_QUEUED_TRANSACTIONS = 8192;

/** Places of a commit where a process can die: nothing is written yet; everything is, but nobody was told. */
export type MemoryStoreStep = "committing" | "committed";

/** How a memory store behaves. */
export interface MemoryStoreOptions {
  /**
   * Commits for each sync. Above 1, transactions resolve before they are durable; with `Infinity` only
   * {@link MemoryStore.sync} makes them so.
   *
   * @default 1
   */
  readonly syncEvery?: number;
  /** Called at each step of each commit; a simulator crashes the store from here. */
  readonly onStep?: (step: MemoryStoreStep) => void;
}

/** A store in memory. */
export interface MemoryStore extends HubStore {
  /** Moves everything committed to the durable half. */
  sync(): void;
  /**
   * Ends this store as a power cut would, and gives one that holds the durable half.
   *
   * Every call on this store rejects from now on with `UNAVAILABLE`, transactions that run included.
   */
  crash(): MemoryStore;
}

/** Creates an empty store in memory. */
export function createMemoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  return openMemoryStore(createMemoryState(), options);
}

function openMemoryStore(durable: MemoryState, options: MemoryStoreOptions): MemoryStore {
  const halves = createHalves(durable, options);
  const queue = createSerialQueue();
  let isClosed = false;
  const checkOpen = (): void => {
    if (isClosed) throw storeClosed();
    halves.checkAlive();
  };
  const close = async (): Promise<void> => {
    isClosed = true;
    if (!halves.isCrashed()) await queue.settled();
  };
  return {
    ...bind(viewMemory(halves.volatile, createMemoryChanges(), checkOpen)),
    capabilities: { durable: false, shared: false },
    transaction: async (work) => {
      checkOpen();
      return queue.run(() => runTransaction(halves, work));
    },
    sync: halves.sync,
    crash: () => {
      halves.crash();
      return openMemoryStore(durable, options);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function runTransaction<T>(halves: Halves, work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
  halves.checkAlive();
  const changes = createMemoryChanges();
  let isEnded = false;
  const view = viewMemory(halves.volatile, changes, () => {
    halves.checkAlive();
    if (isEnded) throw transactionEnded();
  });
  const result = await work(bind(view)).finally(() => {
    isEnded = true;
  });
  halves.commit(changes);
  return result;
}

/** What is committed and what would outlive a crash; after a crash, neither changes through here. */
interface Halves {
  readonly volatile: MemoryState;
  /** @throws CortexError `UNAVAILABLE` after a crash, one that happens at a step of the commit included. */
  commit(changes: MemoryChanges): void;
  sync(): void;
  crash(): void;
  isCrashed(): boolean;
  /** @throws CortexError `UNAVAILABLE` after a crash. */
  checkAlive(): void;
}

function createHalves(durable: MemoryState, options: MemoryStoreOptions): Halves {
  const { syncEvery = 1, onStep = () => undefined } = options;
  const volatile = copyMemoryState(durable);
  const unsynced: MemoryChanges[] = [];
  let isCrashed = false;
  const checkAlive = (): void => {
    if (isCrashed) throw storeClosed();
  };
  const sync = (): void => {
    checkAlive();
    for (const changes of unsynced.splice(0)) applyMemoryChanges(durable, changes);
  };
  return {
    volatile,
    sync,
    checkAlive,
    isCrashed: () => isCrashed,
    crash: () => {
      checkAlive();
      isCrashed = true;
    },
    commit: (changes) => {
      checkAlive();
      onStep("committing");
      checkAlive();
      applyMemoryChanges(volatile, changes);
      unsynced.push(changes);
      if (unsynced.length >= syncEvery) sync();
      onStep("committed");
      checkAlive();
    },
  };
}

function bind(view: MemoryView): StoreTransaction {
  return {
    users: memoryUsers(view),
    invites: memoryOwned(view.invites, "invite", (invite) => invite.inviteId),
    nodes: memoryOwned(view.nodes, "node", (node) => node.nodeId),
    sessions: memorySessions(view),
    tasks: memoryTasks(view),
    events: memoryEvents(view),
    feed: memoryFeed(view),
    keys: memoryKeys(view),
  };
}

interface SerialQueue {
  /** Runs `work` after everything that was queued before it. */
  run<T>(work: () => Promise<T>): Promise<T>;
  /** Resolves when everything queued so far has settled. */
  settled(): Promise<void>;
}

function createSerialQueue(): SerialQueue {
  let tail: Promise<unknown> = Promise.resolve();
  let queuedCount = 0;
  return {
    run: async (work) => {
      if (queuedCount >= MAX_QUEUED_TRANSACTIONS) throw storeOverloaded(queuedCount);
      queuedCount++;
      const result = tail.then(work).finally(() => queuedCount--);
      tail = result.catch(() => {
        // Whoever ran it hears of the failure; the next one only waits for its end.
      });
      return result;
    },
    settled: async () => {
      await tail;
    },
  };
}
