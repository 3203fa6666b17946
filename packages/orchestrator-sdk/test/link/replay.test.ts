import { beforeEach, describe, expect, it } from "vitest";
import { CortexError, type NodeId, type SessionId, type TaskId } from "@cortex-mesh/protocol";
import { HeldState } from "@cortex-mesh/protocol/gen";
import { systemScope } from "../../src/access/scope.js";
import { type Mesh, openMesh } from "../support/open-mesh.js";
import type { ScriptedNode } from "../support/scripted-node.js";
import { turns, until } from "../support/until.js";

const LINES = ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n"];

let mesh: Mesh;
let nodeId: NodeId;
let sessionId: SessionId;
let taskId: TaskId;
let node: ScriptedNode;
beforeEach(async () => {
  mesh = await openMesh();
  nodeId = await mesh.addNode();
  sessionId = await mesh.addSession([nodeId]);
  node = await mesh.connect(nodeId);
  taskId = await mesh.submit(sessionId);
  await until(() => node.grants().length === 1);
  node.started({ taskId, attempt: 1 });
  await mesh.reaches(taskId, "running");
});

/** Sends records from one to another, both counted from 1. */
function sendLines(from: ScriptedNode, first: number, last: number): void {
  for (let seq = first; seq <= last; seq += 1) from.log({ taskId, attempt: 1 }, { seq, text: LINES[seq - 1] ?? "" });
}

const acked = (by: ScriptedNode): number => by.acked({ taskId, attempt: 1 });

/** The output as a reader gets it: every record once, in order. */
async function stored(): Promise<number | undefined> {
  return (await mesh.store.events.output(systemScope, taskId))?.stdoutBytes;
}

const ends = async (): Promise<number> => {
  const events = await mesh.store.feed.read((await mesh.task(taskId)).ownerId, { afterSeq: 0, limit: 1000 });
  return events.filter(({ kind, data }) => kind.startsWith("task.") && JSON.stringify(data).includes("succeeded"))
    .length;
};

const WHOLE = LINES.join("").length;

describe("what was not acknowledged is sent again and counts once", () => {
  it("T8: a log stream that is cut in the middle; the next one begins before what the hub holds", async () => {
    sendLines(node, 1, 3);
    await until(() => acked(node) === 3);
    sendLines(node, 4, 5);
    const broken = node.openLogs();
    broken.close(new CortexError("UNAVAILABLE", "cut"));
    node.openLogs();
    sendLines(node, 2, 6);
    await until(() => acked(node) === 6);
    expect(await stored()).toBe(WHOLE);
    node.ended({ taskId, attempt: 1 }, { lastLogSeq: 6 });
    await mesh.reaches(taskId, "succeeded");
    expect((await mesh.store.events.output(systemScope, taskId))?.complete).toBe(true);
  });

  it("T8: all of it over a new connection, after every acknowledgement of the old one got lost", async () => {
    sendLines(node, 1, 4);
    await until(async () => (await stored()) === LINES.slice(0, 4).join("").length);
    node.tasks.close(new CortexError("UNAVAILABLE", "cut"));
    await until(async () => (await mesh.task(taskId)).disconnected);
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: HeldState.RUNNING }]);
    again.openLogs();
    sendLines(again, 1, 6);
    await until(() => acked(again) === 6);
    expect(await stored()).toBe(WHOLE);
    // A late record of the connection that is gone stores nothing.
    sendLines(node, 5, 6);
    await turns();
    expect(await stored()).toBe(WHOLE);
  });

  it("T8: a result whose acknowledgement got lost is acknowledged again, and the task ended once", async () => {
    sendLines(node, 1, 6);
    node.ended({ taskId, attempt: 1 }, { lastLogSeq: 6 });
    await mesh.reaches(taskId, "succeeded");
    const first = await mesh.task(taskId);
    node.tasks.close(new CortexError("UNAVAILABLE", "cut before the acknowledgement arrived"));
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: HeldState.FINISHED }]);
    expect(again.bodies("welcome")[0]?.unwanted).toEqual([]);
    again.ended({ taskId, attempt: 1 }, { lastLogSeq: 6, exitCode: 9 });
    again.ended({ taskId, attempt: 1 }, { lastLogSeq: 6 });
    await until(() => again.bodies("responseAck").length === 2);
    expect(await mesh.task(taskId)).toEqual(first);
    expect(await ends()).toBe(1);
  });
});
