/** Puts the parts of `tasks/` together as the {@link TaskService} that operations call. */
import { type Clock, CortexError, type IdSource, type TaskId } from "@cortex-mesh/protocol";
import type { Caller } from "../access/caller.js";
import { systemScope } from "../access/scope.js";
import type { NodeConnections } from "../nodes/connections.js";
import type { TaskRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { Wake } from "../wake/wake.js";
import { assertTask, type TaskWriter } from "./commit.js";
import type { Deadlines } from "./deadlines.js";
import { toNeeds } from "./eligibility.js";
import { explainTask } from "./explain.js";
import type { InputRelay } from "./input.js";
import type { TaskInputEvent } from "./machine.js";
import type { OutputFiles } from "./output-files.js";
import type { Placement } from "./place.js";
import { readTaskEvents } from "./read-events.js";
import { submitTask } from "./submit.js";
import type { TaskExplanation, TaskService, TaskView } from "./task-service.js";

/** The parts a task service is made of. */
export interface TaskServiceOptions {
  readonly store: HubStore;
  readonly writer: TaskWriter;
  readonly placement: Placement;
  readonly deadlines: Deadlines;
  readonly input: InputRelay;
  readonly files: OutputFiles;
  readonly connections: NodeConnections;
  readonly wake: Wake;
  readonly ids: IdSource;
  readonly clock: Clock;
}

/** Makes the task service of a hub. */
export function createTaskService(options: TaskServiceOptions): TaskService {
  const { store, writer, files, clock } = options;

  const find = async (caller: Caller, taskId: TaskId): Promise<TaskRecord> =>
    assertTask(await store.tasks.get(caller.scope, taskId), taskId);
  const view = async (task: TaskRecord): Promise<TaskView> => ({
    task,
    request: assertTask(await store.tasks.request(systemScope, task.taskId), task.taskId),
    output: assertTask(await store.events.output(systemScope, task.taskId), task.taskId),
  });
  const apply = async (caller: Caller, taskId: TaskId, event: TaskInputEvent): Promise<TaskView> => {
    await find(caller, taskId);
    const { task, outcome } = assertTask(await writer.apply(taskId, event), taskId);
    if (outcome.kind === "refused") throw new CortexError("ALREADY_ENDED", outcome.reason, { details: { taskId } });
    return view(task);
  };

  return {
    async submit(caller, request) {
      const submitted = await submitTask(
        { store, writer, ids: options.ids, nowMs: () => clock.nowMs() },
        caller,
        request,
      );
      if (!submitted.isRepeat && request.queueTimeoutMs !== undefined)
        options.deadlines.watch(submitted.task, request.queueTimeoutMs);
      return submitted;
    },
    get: async (caller, taskId) => view(await find(caller, taskId)),
    async list(caller, sessionId, page) {
      const session = await store.sessions.get(caller.scope, sessionId);
      if (session === undefined) throw new CortexError("NOT_FOUND", `there is no session ${sessionId}`);
      return Promise.all((await store.tasks.list(caller.scope, { sessionId }, page)).map(view));
    },
    cancel: (caller, taskId) => apply(caller, taskId, { type: "cancel" }),
    resolve: (caller, taskId, state) => apply(caller, taskId, { type: "resolve", state }),
    explain: async (caller, taskId) => explain(options, await find(caller, taskId)),
    async input(caller, taskId, input) {
      const task = await find(caller, taskId);
      const request = await store.tasks.request(systemScope, taskId);
      if (request?.stdin !== true && request?.pty === undefined) {
        throw new CortexError("BAD_REQUEST", "the task takes no input; dispatch it with stdin: true");
      }
      return { acceptedBytes: await options.input.write(task, input) };
    },
    async *events(caller, taskId, from) {
      await find(caller, taskId);
      yield* readTaskEvents(options, taskId, from);
    },
    async output(caller, taskId, stream) {
      await find(caller, taskId);
      const output = assertTask(await store.events.output(caller.scope, taskId), taskId);
      const sizeBytes = stream === "stdout" ? output.stdoutBytes : output.stderrBytes;
      return { sizeBytes, read: (start, end) => files.read(taskId, stream, { start, end: Math.min(end, sizeBytes) }) };
    },
  };
}

async function explain(options: TaskServiceOptions, task: TaskRecord): Promise<TaskExplanation> {
  const { store, placement, deadlines } = options;
  const session = await store.sessions.get(systemScope, task.sessionId);
  const request = await store.tasks.request(systemScope, task.taskId);
  const needs = request && toNeeds(request);
  const verdicts =
    session === undefined || needs === undefined
      ? []
      : await placement.judgeAll({ session, taskId: task.taskId, needs });
  return explainTask({ task, needs, verdicts, freeze: deadlines.freeze });
}
