/**
 * The attempts of a node that run or wait: a bounded number of slots, and a queue in order of arrival.
 *
 * (R1) An attempt has a slot from before its durable start until after its durable end.
 * (R2) Nothing overtakes the queue: a slot is given out directly only while nothing waits.
 */
import { CortexError, isCortexError, MAX_STORED_GRANTS, type OpenedTaskGrant } from "@cortex-mesh/protocol";
import type { AttemptKey, HeldPlace, SlotGate } from "../inbox/inbox.js";
import { type RunningAttempt, runAttempt } from "./attempt.js";
import type { RunnerHost } from "./set-up.js";
import type { InputPiece } from "./task-input.js";

/** Pause before a queued task is tried again when its start cannot be written, in milliseconds. */
const START_RETRY_MS = 1_000;

/** Runs attempts. */
export interface Runner extends SlotGate {
  readonly maxTasks: number;
  readonly runningCount: number;
  /** Grants that wait for a slot. */
  readonly storedCount: number;
  /** Runs an attempt whose start is durable and for which a slot is held. */
  start(grant: OpenedTaskGrant, startedAtMs: number): void;
  /** Queues an attempt that is stored. */
  store(grant: OpenedTaskGrant): void;
  /** Takes an attempt out of the queue; it has ended otherwise. */
  unstore(key: AttemptKey): void;
  find(key: AttemptKey): RunningAttempt | undefined;
  /** Cancels an attempt whose start is durable, also when it is only about to run. */
  stop(key: AttemptKey): void;
  receiveInput(key: AttemptKey, piece: InputPiece): void;
  /** Takes no more; gives what waited, which will not start here. */
  beginDrain(): readonly AttemptKey[];
  /** Stops everything that runs. */
  stopAll(graceMs?: number): void;
  /** Resolves when nothing runs. */
  idle(): Promise<void>;
}

interface Slots {
  readonly host: RunnerHost;
  readonly maxTasks: number;
  readonly running: Map<string, RunningAttempt>;
  readonly queue: OpenedTaskGrant[];
  /** Cancelled between their durable start and their run. */
  readonly stopped: Set<string>;
  readonly idleWaiters: (() => void)[];
  heldCount: number;
  /** Places in the queue that are held for grants on their way to the disk. */
  heldPlaces: number;
  isDraining: boolean;
  /** A start could not be written; the queue waits a moment. */
  isPausing: boolean;
}

/** Makes a runner with `maxTasks` slots. */
export function createRunner(host: RunnerHost, maxTasks: number): Runner {
  const running = new Map<string, RunningAttempt>();
  const queue: OpenedTaskGrant[] = [];
  const slots: Slots = {
    host,
    maxTasks,
    running,
    queue,
    stopped: new Set(),
    idleWaiters: [],
    heldCount: 0,
    heldPlaces: 0,
    isDraining: false,
    isPausing: false,
  };
  return {
    maxTasks,
    get isDraining() {
      return slots.isDraining;
    },
    get runningCount() {
      return slots.heldCount;
    },
    get storedCount() {
      return queue.length;
    },
    hold: () => hold(slots),
    release: (place) => (place === "slot" ? release(slots) : releasePlace(slots)),
    start: (grant, startedAtMs) => startHeld(slots, grant, startedAtMs),
    store(grant) {
      slots.heldPlaces -= 1;
      // One that came while the node began to drain stays stored; the next start gives it back.
      if (!slots.isDraining) queue.push(grant);
      startQueued(slots);
    },
    unstore(key) {
      const at = queue.findIndex((grant) => nameOf(grant) === nameOf(key));
      if (at !== -1) queue.splice(at, 1);
    },
    find: (key) => running.get(nameOf(key)),
    stop(key) {
      const attempt = running.get(nameOf(key));
      if (attempt === undefined) slots.stopped.add(nameOf(key));
      else attempt.stop("cancel");
    },
    receiveInput: (key, piece) => running.get(nameOf(key))?.receiveInput(piece),
    beginDrain() {
      slots.isDraining = true;
      return queue.splice(0);
    },
    stopAll(graceMs) {
      for (const attempt of running.values()) attempt.stop("cancel", graceMs);
    },
    async idle() {
      if (slots.heldCount > 0) await new Promise<void>((resolve) => slots.idleWaiters.push(resolve));
    },
  };
}

/** The policy may allow fewer than the node does. */
function slotLimit({ host, maxTasks }: Slots): number {
  return Math.min(maxTasks, host.policy()?.maxTasks ?? maxTasks);
}

function hold(slots: Slots): HeldPlace | undefined {
  const waitingCount = slots.queue.length + slots.heldPlaces;
  if (slots.isDraining) return undefined;
  if (waitingCount === 0 && slots.heldCount < slotLimit(slots)) {
    slots.heldCount += 1;
    return "slot";
  }
  if (waitingCount >= MAX_STORED_GRANTS) return undefined;
  slots.heldPlaces += 1;
  return "queue";
}

function releasePlace(slots: Slots): void {
  slots.heldPlaces -= 1;
}

function release(slots: Slots): void {
  slots.heldCount -= 1;
  startQueued(slots);
  if (slots.heldCount === 0) for (const wake of slots.idleWaiters.splice(0)) wake();
}

function startHeld(slots: Slots, grant: OpenedTaskGrant, startedAtMs: number): void {
  const name = nameOf(grant);
  const attempt = runAttempt(slots.host, grant, startedAtMs);
  slots.running.set(name, attempt);
  if (slots.stopped.delete(name)) attempt.stop("cancel");
  void attempt.ended.then(() => {
    slots.running.delete(name);
    release(slots);
  });
}

function startQueued(slots: Slots): void {
  while (!slots.isDraining && !slots.isPausing && slots.heldCount < slotLimit(slots)) {
    const grant = slots.queue.shift();
    if (grant === undefined) return;
    slots.heldCount += 1;
    void startStored(slots, grant);
  }
}

async function startStored(slots: Slots, grant: OpenedTaskGrant): Promise<void> {
  const { host } = slots;
  const startedAtMs = host.clock.nowMs();
  try {
    if (await commitStart(host, grant, startedAtMs)) startHeld(slots, grant, startedAtMs);
    else release(slots);
  } catch (error) {
    // Still stored, and first in the queue again; when the state is closed, the next start of the node deals with it.
    if (!isCortexError(error) || error.code !== "UNAVAILABLE") pauseThenRetry(slots, grant);
    release(slots);
  }
}

function pauseThenRetry(slots: Slots, grant: OpenedTaskGrant): void {
  slots.queue.unshift(grant);
  slots.isPausing = true;
  slots.host.clock.setTimer(() => {
    slots.isPausing = false;
    startQueued(slots);
  }, START_RETRY_MS);
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
