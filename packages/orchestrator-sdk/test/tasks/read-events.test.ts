import { beforeEach, describe, expect, it } from "vitest";
import type { NodeId, SessionId, TaskId } from "@cortex-mesh/protocol";
import { LogKind } from "@cortex-mesh/protocol/gen";
import { systemScope } from "../../src/access/scope.js";
import { FIRST_BOUNCE_PAUSE_MS } from "../../src/tasks/bounce-pause.js";
import type { TaskStreamEvent } from "../../src/tasks/task-service.js";
import { alice, bob, type Mesh, openMesh } from "../support/open-mesh.js";
import type { ScriptedNode } from "../support/scripted-node.js";
import { until } from "../support/until.js";

let mesh: Mesh;
let nodeId: NodeId;
let sessionId: SessionId;
let node: ScriptedNode;
let taskId: TaskId;
beforeEach(async () => {
  mesh = await openMesh();
  nodeId = await mesh.addNode();
  sessionId = await mesh.addSession([nodeId]);
  node = await mesh.connect(nodeId);
  taskId = await mesh.submit(sessionId);
  await mesh.reaches(taskId, "leased");
});

const attempt = () => ({ taskId, attempt: 1 });
async function collect(
  afterSeq: number,
  into: TaskStreamEvent[] = [],
  signal?: AbortSignal,
): Promise<TaskStreamEvent[]> {
  for await (const batch of mesh.services.tasks.events(alice, taskId, { afterSeq, signal })) into.push(...batch);
  return into;
}
const textOf = (events: readonly TaskStreamEvent[], kind: string): string =>
  Buffer.concat(
    events.flatMap((event) => (event.kind === kind && event.bytes !== undefined ? [event.bytes] : [])),
  ).toString();
const seqsOf = (events: readonly TaskStreamEvent[]): number[] => events.map(({ seq }) => seq);

describe("reading events", () => {
  it("E2: two readers that came at different times see the same events, live, to the end", async () => {
    const early: TaskStreamEvent[] = [];
    const first = collect(0, early);
    for (let seq = 1; seq <= 100; seq++) {
      node.log(attempt(), { seq, kind: seq % 2 === 0 ? LogKind.STDERR : LogKind.STDOUT, text: `${seq} ` });
    }
    await until(() => textOf(early, "stdout").length > 0);
    const second = collect(0);
    for (let seq = 101; seq <= 200; seq++) node.log(attempt(), { seq, text: `${seq} ` });
    node.ended(attempt(), { lastLogSeq: 200 });
    const [left, right] = await Promise.all([first, second]);
    expect(right).toEqual(left);
    expect(seqsOf(left)).toEqual(left.map((_event, index) => index + 1));
    const numbers = Array.from({ length: 200 }, (_, index) => index + 1);
    expect(textOf(left, "stdout")).toBe(
      numbers
        .filter((n) => n % 2 === 1 || n > 100)
        .map((n) => `${n} `)
        .join(""),
    );
    expect(left.at(-1)).toMatchObject({ kind: "state", data: { state: "succeeded", result: { exitCode: 0 } } });
  });

  it("H8: a reader goes on after any number", async () => {
    for (let seq = 1; seq <= 20; seq++) {
      node.log(attempt(), { seq, kind: seq % 2 === 0 ? LogKind.STDERR : LogKind.STDOUT, text: `${seq} ` });
      await until(() => node.acked(attempt()) === seq);
    }
    node.ended(attempt(), { lastLogSeq: 20 });
    const all = await collect(0);
    for (let afterSeq = 0; afterSeq < all.length; afterSeq++) {
      const rest = await collect(afterSeq);
      expect(rest).toEqual(all.slice(afterSeq));
    }
  });

  it("H8: a reader that has the last event ends at once", async () => {
    node.ended(attempt());
    await mesh.reaches(taskId, "succeeded");
    const all = await collect(0);
    expect(await collect(all.at(-1)?.seq ?? 0)).toEqual([]);
  });

  it("H8: a reader ends after an indeterminate end, and reads on when it was resolved", async () => {
    node.ended(attempt(), { outcome: 6 });
    await mesh.reaches(taskId, "indeterminate");
    const all = await collect(0);
    expect(all.at(-1)).toMatchObject({ data: { state: "indeterminate" } });
    await mesh.services.tasks.resolve(alice, taskId, "failed");
    expect(await collect(all.at(-1)?.seq ?? 0)).toMatchObject([{ data: { state: "failed" } }]);
    // Who comes later hears both, the newest last.
    expect((await collect(0)).at(-1)).toMatchObject({ data: { state: "failed" } });
  });

  it("H8: a reader ends when its caller leaves, and stops listening", async () => {
    const aborter = new AbortController();
    const seen: TaskStreamEvent[] = [];
    const reading = collect(0, seen, aborter.signal);
    await until(() => seen.length > 0);
    aborter.abort();
    await reading;
    expect(seen.at(-1)).toMatchObject({ data: { state: "leased" } });
  });

  it("H11: a reader of a task that is deleted is told", async () => {
    const reading = collect(0);
    reading.catch(() => undefined);
    const removed = mesh.services.sessions.remove(alice, sessionId);
    await until(() => node.cancels().length === 1);
    await mesh.clock.advance(10_000);
    await removed;
    await expect(reading).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("I8: nobody reads the task of somebody else", async () => {
    const reading = async (): Promise<void> => {
      for await (const _batch of mesh.services.tasks.events(bob, taskId, { afterSeq: 0 }))
        throw new Error("read something");
    };
    await expect(reading()).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("E2: output of two attempts is one story, numbered through", async () => {
    node.log(attempt(), { seq: 1, text: "first " });
    await until(() => node.acked(attempt()) === 1);
    node.declined(attempt(), false);
    await mesh.reaches(taskId, "queued");
    await mesh.clock.advance(FIRST_BOUNCE_PAUSE_MS);
    await until(async () => (await mesh.task(taskId)).attempt === 2);
    node.log({ taskId, attempt: 2 }, { seq: 1, text: "second" });
    node.ended({ taskId, attempt: 2 }, { lastLogSeq: 1 });
    const all = await collect(0);
    expect(textOf(all, "stdout")).toBe("first second");
    expect(seqsOf(all)).toEqual(all.map((_event, index) => index + 1));
    expect(await mesh.store.events.output(systemScope, taskId)).toMatchObject({ attempt: 2, stdoutBytes: 12 });
  });
});

describe("a deleted session", () => {
  it("H11: takes the output files of its tasks along", async () => {
    node.log(attempt(), { seq: 1, text: "gone" });
    node.ended(attempt(), { lastLogSeq: 1 });
    await mesh.reaches(taskId, "succeeded");
    await mesh.services.sessions.remove(alice, sessionId);
    const read = async (): Promise<void> => {
      for await (const _chunk of mesh.files.read(taskId, "stdout", { start: 0, end: 4 }))
        throw new Error("still there");
    };
    await expect(read()).rejects.toMatchObject({ code: "ENOENT" });
  });
});
