/** What can be followed: the events of one task, and the feed of all that a user may see. */

import { z } from "zod";
import { CortexError, parseId } from "@cortex-mesh/protocol/portable";
import { isFinal } from "../tasks/machine.js";
import type { TaskView } from "../tasks/task-service.js";
import { defineOperation, type EventStream } from "./operation.js";
import { feedEvent, taskEvent, toFeedEventResource, toTaskEventResource } from "./resources/event.js";
import { LAST_EVENT_HEADER } from "./wire.js";

/** Replays a task's events, then follows; ends after the final state. */
export const followTask = defineOperation({
  name: "followTask",
  method: "GET",
  path: "/tasks/{taskId}/events",
  summary: "Follow a task: states, output, progress",
  input: z.strictObject({
    taskId: z.string(),
    /** Number of the last event that the reader has. */
    after: z.int().min(0).optional(),
    /** The same, from a reader that reconnects; it counts more. */
    lastEventId: z.int().min(0).optional(),
  }),
  headers: { lastEventId: LAST_EVENT_HEADER },
  output: taskEvent,
  kind: "events",
  rule: "owner",
  async run({ caller, services, signal }, { taskId, after, lastEventId }) {
    const id = parseId("task", taskId);
    const afterSeq = lastEventId ?? after ?? 0;
    const view = await services.tasks.get(caller, id);
    if (isOver(view, afterSeq)) return { batches: mapBatches([], toTaskEventResource) };
    return { batches: mapBatches(services.tasks.events(caller, id, { afterSeq, signal }), toTaskEventResource) };
  },
});

/** Follows everything that happens to what the caller owns. */
export const followEvents = defineOperation({
  name: "followEvents",
  method: "GET",
  path: "/events",
  summary: "Follow all that happens: nodes, sessions, tasks",
  input: z.strictObject({
    /** Cursor of the last event that the reader has; absent means from now. */
    after: z.string().max(200).optional(),
    /** The same, from a reader that reconnects; it counts more. */
    lastEventId: z.string().max(200).optional(),
  }),
  headers: { lastEventId: LAST_EVENT_HEADER },
  output: feedEvent,
  kind: "events",
  rule: "user",
  async run({ caller, services, signal }, { after, lastEventId }): Promise<EventStream<z.output<typeof feedEvent>>> {
    const feed = await services.feed.follow(caller, { cursor: lastEventId ?? after, signal });
    return { startId: feed.startCursor, batches: mapBatches(feed.batches, toFeedEventResource) };
  },
});

/**
 * Whether nothing will follow: a reader that has the last event of an ended task would wait for ever.
 *
 * @throws CortexError `BAD_REQUEST` for a number that no event has yet: its reader would miss what gets it.
 */
function isOver({ task, output }: TaskView, afterSeq: number): boolean {
  if (afterSeq < output.lastSeq) return false;
  if (isFinal(task.state)) return true;
  if (afterSeq === output.lastSeq) return false;
  throw new CortexError("BAD_REQUEST", `after: the last event so far is ${output.lastSeq}`, {
    details: { field: "after", lastSeq: output.lastSeq },
  });
}

async function* mapBatches<From, To>(
  batches: AsyncIterable<readonly From[]> | readonly (readonly From[])[],
  map: (item: From) => To,
): AsyncGenerator<readonly To[]> {
  for await (const batch of batches) yield batch.map(map);
}
