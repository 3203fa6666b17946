/**
 * The attempts of a node that run or wait: a bounded number of slots, and a queue in order of arrival.
 *
 * (R1) An attempt has a slot from before its durable start until after its durable end.
 * (R2) Nothing overtakes the queue: a slot is given out directly only while nothing waits.
 */
import { CortexError, isCortexError, type OpenedTaskGrant } from "@cortex-mesh/protocol";
import type { AttemptKey, SlotGate } from "../inbox/inbox.js";
import { type RunningAttempt, runAttempt } from "./attempt.js";
import type { InputPiece } from "./task-input.js";
import type { RunnerHost } from "./set-up.js";

/** Pause before a queued task is tried again when its start cannot be written, in milliseconds. */
const START_RETRY_MS = 1_000;

/** Runs attempts. */
export interface Runner extends SlotGate {
  readonly maxTasks: number;
  readonly runningCount: number;
  /** Runs an attempt whose start is durable and for which a slot is held. */
  start(grant: OpenedTaskGrant, startedAtMs: number): void;
  /** Queues an attempt that is stored. */
  store(grant: OpenedTaskGrant): void;
  /** Takes an attempt out of the queue; it has ended otherwise. */
  unstore(key: AttemptKey): void;
  find(key: AttemptKey): RunningAttempt | undefined;
  listRunning(): readonly RunningAttempt[];
  receiveInput(key: AttemptKey, piece: InputPiece): void;
  /** Takes no more; gives what waited, which will not start here. */
  beginDrain(): readonly AttemptKey[];
  /** Stops everything that runs. */
  stopAll(graceMs?: number): void;
  /** Resolves when nothing runs. */
  idle(): Promise<void>;
}

/** Makes a runner with `maxTasks` slots. */
export function createRunner(host: RunnerHost, maxTasks: number): Runner {
  const running = new Map<string, RunningAttempt>();
  const queue: OpenedTaskGrant[] = [];
  const idleWaiters: (() => void)[] = [];
  let heldSlots = 0;
  let isDraining = false;
  let isPausing = false;

  function release(): void {
    heldSlots -= 1;
    startQueued();
    if (heldSlots === 0) for (const wake of idleWaiters.splice(0)) wake();
  }

  function start(grant: OpenedTaskGrant, startedAtMs: number): void {
    const name = nameOf(grant);
    const attempt = runAttempt(host, grant, startedAtMs);
    running.set(name, attempt);
    void attempt.ended.then(() => {
      running.delete(name);
      release();
    });
  }

  function startQueued(): void {
    while (!isDraining && !isPausing && heldSlots < maxTasks) {
      const grant = queue.shift();
      if (grant === undefined) return;
      heldSlots += 1;
      void startStored(grant);
    }
  }

  async function startStored(grant: OpenedTaskGrant): Promise<void> {
    const startedAtMs = host.clock.nowMs();
    try {
      if (await commitStart(host, grant, startedAtMs)) start(grant, startedAtMs);
      else release();
    } catch (error) {
      // Still stored, and first in the queue again; when the state is closed, the next start of the node deals with it.
      if (!isCortexError(error) || error.code !== "UNAVAILABLE") pauseThenRetry(grant);
      heldSlots -= 1;
    }
  }

  function pauseThenRetry(grant: OpenedTaskGrant): void {
    queue.unshift(grant);
    isPausing = true;
    host.clock.setTimer(() => {
      isPausing = false;
      startQueued();
    }, START_RETRY_MS);
  }

  return {
    maxTasks,
    get isDraining() {
      return isDraining;
    },
    get runningCount() {
      return heldSlots;
    },
    get storedCount() {
      return queue.length;
    },
    tryReserve() {
      if (isDraining || queue.length > 0 || heldSlots >= maxTasks) return false;
      heldSlots += 1;
      return true;
    },
    release,
    start,
    store(grant) {
      queue.push(grant);
      startQueued();
    },
    unstore(key) {
      const at = queue.findIndex((grant) => nameOf(grant) === nameOf(key));
      if (at !== -1) queue.splice(at, 1);
    },
    find: (key) => running.get(nameOf(key)),
    listRunning: () => [...running.values()],
    receiveInput: (key, piece) => running.get(nameOf(key))?.receiveInput(piece),
    beginDrain() {
      isDraining = true;
      return queue.splice(0);
    },
    stopAll(graceMs) {
      for (const attempt of running.values()) attempt.stop("cancel", graceMs);
    },
    async idle() {
      if (heldSlots === 0) return;
      await new Promise<void>((resolve) => idleWaiters.push(resolve));
    },
  };
}

/** Makes the start of a stored attempt durable; false when it is not to be started any more. */
async function commitStart(host: RunnerHost, grant: OpenedTaskGrant, startedAtMs: number): Promise<boolean> {
  return await host.state.commit((transaction) => {
    const record = transaction.findAttempt(grant.taskId, grant.attempt);
    if (record?.state !== "stored") return false;
    transaction.put({ ...record, state: "started", startedAtMs, hasLog: true, changedAtMs: startedAtMs });
    return true;
  });
}

function nameOf({ taskId, attempt }: AttemptKey): string {
  return `${taskId}.${attempt}`;
}

/** The error of a task that waited when the node began to drain. */
export function drainedAway(): CortexError {
  return new CortexError("UNAVAILABLE", "the node is draining; the task had not started");
}
