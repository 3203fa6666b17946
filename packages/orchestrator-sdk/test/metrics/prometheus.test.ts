import { describe, expect, it } from "vitest";
import type { TaskId } from "@cortex-mesh/protocol";
import { createPrometheusMetrics } from "../../src/metrics/prometheus.js";
import type { TaskRecord } from "../../src/store/records.js";
import { taskRecord } from "../support/task-record.js";

/** The lines of one figure. */
async function linesOf(metrics: ReturnType<typeof createPrometheusMetrics>, name: string): Promise<string[]> {
  const { text } = await metrics.read();
  return text.split("\n").filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
}

const queued: TaskRecord = { ...taskRecord(), state: "queued", attempt: 0, createdAtMs: 1000 };
const leased: TaskRecord = { ...queued, state: "leased", attempt: 1, leasedAtMs: 3000 };
const running: TaskRecord = { ...leased, state: "running", startedAtMs: 4000 };
const lost: TaskRecord = { ...running, state: "indeterminate", cause: "node_lost", finishedAtMs: 9000 };

describe("figures of a hub", () => {
  it("L4: a task is counted in the one state that it is in, and nowhere when it has ended", async () => {
    const metrics = createPrometheusMetrics();
    const other = { ...queued, taskId: "task_01J00000000000000000000002" as TaskId };
    metrics.taskFound(other);
    metrics.taskChanged(undefined, queued);
    metrics.taskChanged(queued, leased);
    metrics.taskChanged(leased, { ...leased, disconnected: true });
    metrics.taskChanged(leased, running);
    expect(await linesOf(metrics, "cortex_tasks")).toEqual([
      'cortex_tasks{state="queued"} 1',
      'cortex_tasks{state="leased"} 0',
      'cortex_tasks{state="running"} 1',
      'cortex_tasks{state="indeterminate"} 0',
    ]);
    metrics.taskChanged(running, { ...running, state: "failed", cause: "exit", finishedAtMs: 6000 });
    for (const task of [other, queued, running]) metrics.taskForgotten(task);
    expect((await linesOf(metrics, "cortex_tasks")).map((line) => line.split(" ")[1])).toEqual(["0", "0", "0", "0"]);
    expect(await linesOf(metrics, "cortex_tasks_settled_total")).toEqual([
      'cortex_tasks_settled_total{state="failed",cause="exit"} 1',
    ]);
    expect(await linesOf(metrics, "cortex_task_queue_seconds_sum")).toEqual(["cortex_task_queue_seconds_sum 2"]);
    expect(await linesOf(metrics, "cortex_task_run_seconds_sum")).toEqual(["cortex_task_run_seconds_sum 2"]);
  });

  it("L4: a task whose end is not known stays counted until it is, and is not taken for a long run", async () => {
    const metrics = createPrometheusMetrics();
    metrics.taskFound(running);
    metrics.taskChanged(running, lost);
    expect(await linesOf(metrics, "cortex_tasks")).toContain('cortex_tasks{state="indeterminate"} 1');
    metrics.taskChanged(lost, { ...lost, state: "succeeded", cause: undefined });
    expect(await linesOf(metrics, "cortex_tasks")).toContain('cortex_tasks{state="indeterminate"} 0');
    expect(await linesOf(metrics, "cortex_tasks_settled_total")).toEqual([
      'cortex_tasks_settled_total{state="indeterminate",cause="node_lost"} 1',
      'cortex_tasks_settled_total{state="succeeded",cause="none"} 1',
    ]);
    expect(await linesOf(metrics, "cortex_task_run_seconds_count")).toEqual(["cortex_task_run_seconds_count 0"]);
  });

  it("L4: the figures of two hubs in one process do not add up", async () => {
    const [one, other] = [createPrometheusMetrics(), createPrometheusMetrics()];
    one.inviteMade();
    expect(await linesOf(one, "cortex_invites_created_total")).toEqual(["cortex_invites_created_total 1"]);
    expect(await linesOf(other, "cortex_invites_created_total")).toEqual(["cortex_invites_created_total 0"]);
  });

  it("L4: a fault is told from an answer that is planned, and a status that has no name adds no label", async () => {
    const metrics = createPrometheusMetrics();
    for (const status of [200, 499, 500, 503, 507, 507, 777, 778]) {
      metrics.requestAnswered({ operation: "listNodes", status, durationMs: 1 });
    }
    const lines = await linesOf(metrics, "cortex_http_requests_total");
    expect(lines.map((line) => /status="(\w+)"\} (\d+)$/.exec(line)?.slice(1))).toEqual([
      ["200", "1"],
      ["499", "1"],
      ["500", "1"],
      ["503", "1"],
      ["507", "2"],
      ["other", "2"],
    ]);
  });

  it("L4: a reader that ends twice is counted off once", async () => {
    const metrics = createPrometheusMetrics();
    const [end] = [metrics.readerOpened("sse"), metrics.readerOpened("sse")];
    end?.();
    end?.();
    expect(await linesOf(metrics, "cortex_event_readers")).toContain('cortex_event_readers{kind="sse"} 1');
  });

  it("L4: figures of the process are there only when they are asked for", async () => {
    expect((await createPrometheusMetrics().read()).text).not.toContain("process_");
    const { text } = await createPrometheusMetrics({ hasProcess: true }).read();
    for (const name of ["nodejs_eventloop_lag_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total"]) {
      expect(text).toContain(`# TYPE ${name} `);
    }
  });
});
