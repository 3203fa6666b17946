/** Tasks: dispatch, watch, feed, end. */

import { z } from "zod";
import { parseId } from "@cortex-mesh/protocol/portable";
import type { JsonObject } from "../store/records.js";
import { assertSkillInput, dispatchInput } from "./dispatch-input.js";
import { byteContent, defineOperation } from "./operation.js";
import { pageInput, pageOf, readPage } from "./resources/page.js";
import { explanationResource, taskResource, toExplanationResource, toTaskResource } from "./resources/task.js";
import { IDEMPOTENCY_HEADER } from "./wire.js";

const oneTask = z.strictObject({ taskId: z.string() });

/** Accepts a task durably; a repeat of an idempotency key gives the earlier one. */
export const dispatch = defineOperation({
  name: "dispatch",
  method: "POST",
  path: "/sessions/{sessionId}/dispatch",
  summary: "Run a skill on an attached node",
  input: dispatchInput,
  headers: { idempotencyKey: IDEMPOTENCY_HEADER },
  /** The task, and whether the idempotency key was seen before. */
  output: z.strictObject({ ...taskResource.shape, isRepeat: z.boolean() }),
  kind: "json",
  status: { of: [202, 200], pick: ({ isRepeat }) => (isRepeat ? 200 : 202) },
  rule: "owner",
  async run({ caller, services }, input) {
    assertSkillInput(input.skill, input.input);
    const { task, isRepeat } = await services.tasks.submit(caller, {
      sessionId: parseId("ses", input.sessionId),
      skill: input.skill,
      input: input.input,
      nodeId: input.nodeId === undefined ? undefined : parseId("node", input.nodeId),
      requires: withoutUndefined(input.requires),
      cwd: input.cwd,
      env: input.env,
      secrets: input.secrets,
      stdin: input.stdin,
      pty: input.pty,
      timeoutMs: input.timeoutMs,
      queueTimeoutMs: input.queueTimeoutMs,
      effect: input.effect,
      sandbox: withoutUndefined(input.sandbox),
      idempotencyKey: input.idempotencyKey,
    });
    return { ...toTaskResource(await services.tasks.get(caller, task.taskId)), isRepeat };
  },
});

/** Reads a task. */
export const getTask = defineOperation({
  name: "getTask",
  method: "GET",
  path: "/tasks/{taskId}",
  summary: "Read a task",
  input: oneTask,
  output: taskResource,
  kind: "json",
  rule: "owner",
  async run({ caller, services }, { taskId }) {
    return toTaskResource(await services.tasks.get(caller, parseId("task", taskId)));
  },
});

/** Lists a session's tasks, oldest first. */
export const listTasks = defineOperation({
  name: "listTasks",
  method: "GET",
  path: "/sessions/{sessionId}/tasks",
  summary: "List the tasks of a session",
  input: z.strictObject({ sessionId: z.string(), ...pageInput }),
  output: pageOf(taskResource),
  kind: "json",
  rule: "owner",
  async run({ caller, services }, { sessionId, ...input }) {
    const session = parseId("ses", sessionId);
    const page = await readPage(
      input,
      (request) => services.tasks.list(caller, session, request),
      ({ task }) => task.taskId,
    );
    return { ...page, items: page.items.map(toTaskResource) };
  },
});

/** Asks for the end of a task; idempotent, also after the end. */
export const cancelTask = defineOperation({
  name: "cancelTask",
  method: "POST",
  path: "/tasks/{taskId}/cancel",
  summary: "Cancel a task",
  input: oneTask,
  output: taskResource,
  kind: "json",
  rule: "owner",
  async run({ caller, services }, { taskId }) {
    return toTaskResource(await services.tasks.cancel(caller, parseId("task", taskId)));
  },
});

/** Says why a task waits, or why it went where it went. */
export const explainTask = defineOperation({
  name: "explainTask",
  method: "GET",
  path: "/tasks/{taskId}/explain",
  summary: "Explain where a task waits or went",
  input: oneTask,
  output: explanationResource,
  kind: "json",
  rule: "owner",
  async run({ caller, services }, { taskId }) {
    return toExplanationResource(await services.tasks.explain(caller, parseId("task", taskId)));
  },
});

/** Settles an indeterminate task, once. */
export const resolveTask = defineOperation({
  name: "resolveTask",
  method: "POST",
  path: "/tasks/{taskId}/resolve",
  summary: "Settle an indeterminate task",
  input: z.strictObject({ taskId: z.string(), state: z.enum(["succeeded", "failed", "cancelled"]) }),
  output: taskResource,
  kind: "json",
  rule: "owner",
  async run({ caller, services }, { taskId, state }) {
    return toTaskResource(await services.tasks.resolve(caller, parseId("task", taskId), state));
  },
});

/** Hands bytes to a task's standard input; the answer comes when the process has taken them. */
export const writeTaskInput = defineOperation({
  name: "writeTaskInput",
  method: "POST",
  path: "/tasks/{taskId}/input",
  summary: "Write to a task's standard input",
  input: z.strictObject({
    taskId: z.string(),
    /** Closes standard input after the bytes. */
    eof: z.boolean().default(false),
    /** Where the first byte goes, counted from the start of the attempt: 412 with `details.offset` when the input is elsewhere. */
    offset: z.int().min(0).optional(),
    data: z.custom<AsyncIterable<Uint8Array>>(
      (value) => typeof value === "object" && value !== null && Symbol.asyncIterator in value,
    ),
  }),
  bodyField: "data",
  output: z.strictObject({ acceptedBytes: z.int() }),
  kind: "json",
  rule: "owner",
  async run({ caller, services, signal }, { taskId, eof, offset, data }) {
    return services.tasks.input(caller, parseId("task", taskId), { data, eof, offset, signal });
  },
});

/** Reads the raw bytes of an output stream, as far as they are committed. */
export const readTaskOutput = defineOperation({
  name: "readTaskOutput",
  method: "GET",
  path: "/tasks/{taskId}/output",
  summary: "Read the output of a task so far",
  input: z.strictObject({ taskId: z.string(), stream: z.enum(["stdout", "stderr"]).default("stdout") }),
  output: byteContent,
  kind: "bytes",
  rule: "owner",
  run: ({ caller, services }, { taskId, stream }) => services.tasks.output(caller, parseId("task", taskId), stream),
});

/** Drops optional fields that are absent, so that equal requests have equal records. */
function withoutUndefined(value: object | undefined): JsonObject | undefined {
  return value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as JsonObject);
}
