/** Ends the tasks that a session can no longer carry: it is being deleted, or a node leaves it. */
import type { Clock, NodeId, SessionId } from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import type { TaskRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { TaskWriter } from "./commit.js";
import { isFinal } from "./machine.js";

/** How long to wait for the ends: a TERM with its grace, and the way back. A task of a node that is away ends later. */
export const CANCEL_ALL_WAIT_MS = 8_000;
const PAGE = 500;

/** Which tasks to end. */
export interface CancelTarget {
  readonly sessionId: SessionId;
  /** Only those on this node, or that wait for it by name. */
  readonly nodeId?: NodeId;
}

/** Makes a function that cancels all unfinished tasks of a session and waits, within bounds, for their ends. */
export function createCancelAll(options: {
  readonly store: HubStore;
  readonly writer: TaskWriter;
  readonly clock: Clock;
}): (target: CancelTarget) => Promise<void> {
  const { store, writer, clock } = options;
  const listeners = new Set<(task: TaskRecord) => void>();
  writer.onCommit((_before, after) => {
    for (const listener of listeners) listener(after);
  });

  const concerns = async (task: TaskRecord, target: CancelTarget): Promise<boolean> => {
    if (target.nodeId === undefined || task.nodeId === target.nodeId) return true;
    const request = task.state === "queued" ? await store.tasks.request(systemScope, task.taskId) : undefined;
    return request?.nodeId === target.nodeId;
  };

  return async (target) => {
    const open = new Set<string>();
    let settle = (): void => undefined;
    const listener = (task: TaskRecord): void => {
      if (isFinal(task.state) && open.delete(task.taskId) && open.size === 0) settle();
    };
    listeners.add(listener);
    try {
      const filter = { sessionId: target.sessionId, states: ["queued", "leased", "running"] } as const;
      for (let after: string | undefined; ; ) {
        const page: TaskRecord[] = await store.tasks.list(systemScope, filter, { after, limit: PAGE });
        for (const task of page) {
          if (!(await concerns(task, target))) continue;
          open.add(task.taskId);
          const written = await writer.apply(task.taskId, { type: "cancel" });
          if (written === undefined || isFinal(written.task.state)) open.delete(task.taskId);
        }
        after = page.at(-1)?.taskId;
        if (page.length < PAGE) break;
      }
      if (open.size === 0) return;
      await new Promise<void>((resolve) => {
        const timer = clock.setTimer(resolve, CANCEL_ALL_WAIT_MS);
        settle = () => {
          timer.cancel();
          resolve();
        };
      });
    } finally {
      listeners.delete(listener);
    }
  };
}
