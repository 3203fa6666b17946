/** Whether output of a task is missing, from its events. */
import type { TaskId } from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import type { EventReads } from "../store/store.js";

/** Events looked at with one read. */
const PAGE_EVENTS = 1_000;

/** Whether one of a task's events is a gap. Cost: reads the events, not the output, until it finds one. */
export async function hasGap(events: EventReads, taskId: TaskId): Promise<boolean> {
  let afterSeq = 0;
  for (;;) {
    const page = await events.read(systemScope, taskId, { afterSeq, limit: PAGE_EVENTS });
    if (page.some(({ kind }) => kind === "gap")) return true;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_EVENTS) return false;
    afterSeq = last.seq;
  }
}
