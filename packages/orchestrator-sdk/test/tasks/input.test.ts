import { beforeEach, describe, expect, it } from "vitest";
import type { NodeId, SessionId, TaskId } from "@cortex-mesh/protocol";
import { systemScope } from "../../src/access/scope.js";
import { FIRST_BOUNCE_PAUSE_MS } from "../../src/tasks/bounce-pause.js";
import { createInputRelay } from "../../src/tasks/input.js";
import { createLocalWake } from "../../src/wake/local.js";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import type { ScriptedNode } from "../support/scripted-node.js";
import { turns, until } from "../support/until.js";

let mesh: Mesh;
let nodeId: NodeId;
let sessionId: SessionId;
let node: ScriptedNode;
let taskId: TaskId;
beforeEach(async () => {
  mesh = await openMesh({ deadlines: { lostAfterMs: 1_000 } });
  nodeId = await mesh.addNode();
  sessionId = await mesh.addSession([nodeId]);
  node = await mesh.connect(nodeId);
  taskId = await mesh.submit(sessionId, { stdin: true, effect: "idempotent" });
  await mesh.reaches(taskId, "leased");
});

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}
const write = (
  text: string,
  options: { readonly eof?: boolean; readonly offset?: number; readonly signal?: AbortSignal } = {},
) => {
  const written = mesh.services.tasks.input(alice, taskId, { data: chunks(text), eof: false, ...options });
  written.catch(() => undefined);
  return written;
};
const run = async (by = node, attempt = 1): Promise<void> => {
  by.started({ taskId, attempt });
  await mesh.reaches(taskId, "running");
};
const ack = (offset: number, closed = false, by = node): void =>
  by.say({ case: "inputAck", value: { taskId, attempt: 1, offset: BigInt(offset), closed } });
const pieces = (by = node) =>
  by.bodies("input").map((piece) => ({ ...piece, data: Buffer.from(piece?.data ?? []).toString() }));

describe("input of a task", () => {
  it("E8: waits until the task runs, is sent in pieces, and is taken when the process has it", async () => {
    const written = write("x".repeat(65 * 1024));
    await turns();
    expect(pieces()).toEqual([]);
    await run();
    await until(() => pieces().length === 1);
    expect(pieces()[0]).toMatchObject({ offset: 0n, eof: false, data: "x".repeat(64 * 1024) });
    await turns();
    expect(pieces()).toHaveLength(1);
    ack(64 * 1024);
    await until(() => pieces().length === 2);
    expect(pieces()[1]).toMatchObject({ offset: 65_536n });
    ack(65 * 1024);
    expect(await written).toEqual({ acceptedBytes: 65 * 1024 });
  });

  it("E8: its end is taken when the process has closed its input", async () => {
    await run();
    const written = write("", { eof: true });
    await until(() => pieces().length === 1);
    expect(pieces()[0]).toMatchObject({ eof: true, offset: 0n });
    ack(0, true);
    expect(await written).toEqual({ acceptedBytes: 0 });
    await expect(write("more")).rejects.toMatchObject({ code: "ALREADY_ENDED" });
  });

  it("E8: its end is taken also when the task ends in the same moment", async () => {
    await run();
    const written = write("", { eof: true });
    await until(() => pieces().length === 1);
    ack(0, true);
    node.ended({ taskId, attempt: 1 });
    expect(await written).toEqual({ acceptedBytes: 0 });
  });

  it("E8: what the process took counts, whatever is known of the task by then", async () => {
    await run();
    const relay = createInputRelay({
      connections: mesh.parts.connections,
      wake: createLocalWake(),
      async current(id) {
        await turns();
        return mesh.store.tasks.get(systemScope, id);
      },
    });
    const written = relay.write(await mesh.task(taskId), { data: chunks(), eof: true });
    await until(() => pieces().length === 1);
    node.ended({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "succeeded");
    relay.acked({ taskId, attempt: 1, nodeId }, { offset: 0, isClosed: true });
    expect(await written).toBe(0);
  });

  it("E8: waits on while the task is given to another node before it runs", async () => {
    const written = write("abc");
    await turns();
    node.declined({ taskId, attempt: 1 }, false);
    await mesh.reaches(taskId, "queued");
    await mesh.clock.advance(FIRST_BOUNCE_PAUSE_MS);
    await until(async () => (await mesh.task(taskId)).attempt === 2);
    await run(node, 2);
    await until(() => pieces().length === 1);
    expect(pieces()[0]).toMatchObject({ attempt: 2, offset: 0n, data: "abc" });
    node.say({ case: "inputAck", value: { taskId, attempt: 2, offset: 3n, closed: false } });
    expect(await written).toEqual({ acceptedBytes: 3 });
  });

  it("E8: writers take turns, and each byte goes out once", async () => {
    await run();
    const first = write("one");
    const second = write("two");
    await until(() => pieces().length === 1);
    await turns();
    expect(pieces()).toHaveLength(1);
    ack(3);
    await until(() => pieces().length === 2);
    expect(pieces()[1]).toMatchObject({ offset: 3n, data: "two" });
    ack(6);
    await Promise.all([first, second]);
  });

  it("E8: what a writer that gave up left on the wire comes before the next one's", async () => {
    await run();
    const aborter = new AbortController();
    const gone = write("lost?", { signal: aborter.signal });
    await until(() => pieces().length === 1);
    aborter.abort(new Error("the caller left"));
    await expect(gone).rejects.toThrow("the caller left");
    const next = write("next");
    await until(() => pieces().length === 2);
    expect(pieces()[1]).toMatchObject({ offset: 0n, data: "lost?" });
    ack(5);
    await until(() => pieces().length === 3);
    expect(pieces()[2]).toMatchObject({ offset: 5n, data: "next" });
    ack(9);
    await next;
  });

  it("E8: ends with the task", async () => {
    await run();
    const written = write("abc");
    await until(() => pieces().length === 1);
    node.ended({ taskId, attempt: 1 });
    await expect(written).rejects.toMatchObject({ code: "ALREADY_ENDED" });
  });

  it("E8: goes to a draining node as well: its task still runs", async () => {
    await run();
    node.say({ case: "draining", value: {} });
    const written = write("abc");
    await until(() => pieces().length === 1);
    ack(3);
    await written;
  });
});

describe("input over a reconnect", () => {
  it("E8: goes on from where the node says its process is", async () => {
    await run();
    const written = write("abcdef");
    await until(() => pieces().length === 1);
    node.tasks.close();
    await until(async () => (await mesh.task(taskId)).disconnected);
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 2, inputOffset: 4n }]);
    await until(() => pieces(again).length === 1);
    expect(pieces(again)[0]).toMatchObject({ offset: 4n, data: "ef" });
    ack(6, false, again);
    expect(await written).toEqual({ acceptedBytes: 6 });
  });

  it("H4: goes on behind what the process has after a restart of the hub", async () => {
    await run();
    const next = await mesh.restart();
    mesh = next;
    const again = await next.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 2, inputOffset: 7n }]);
    const written = write("abc");
    await until(() => pieces(again).length === 1);
    expect(pieces(again)[0]).toMatchObject({ offset: 7n, data: "abc" });
    ack(10, false, again);
    await written;
  });

  it("H4: waits for the node of a hub that starts again, and goes behind what its process has, all of it", async () => {
    await run();
    mesh = await mesh.restart();
    const written = write("abc");
    await turns();
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 2, inputOffset: 7n }]);
    await until(() => pieces(again).length === 1);
    expect(pieces(again)[0]).toMatchObject({ offset: 7n, data: "abc" });
    ack(10, false, again);
    expect(await written).toEqual({ acceptedBytes: 3 });
  });

  it("H4: what the process took before anybody wrote to a hub that starts again counts", async () => {
    await run();
    mesh = await mesh.restart();
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 2 }]);
    ack(5, false, again);
    await turns();
    const written = write("abc");
    await until(() => pieces(again).length === 1);
    expect(pieces(again)[0]).toMatchObject({ offset: 5n, data: "abc" });
    ack(8, false, again);
    await written;
  });

  it("H4: a writer that names its offset is told where to go on when the hub starts again, and no byte is missed", async () => {
    await run();
    const first = write("abcdef", { offset: 0 });
    await until(() => pieces().length === 1);
    ack(2);
    // The rest was sent, and counted as taken for the hub that stops.
    mesh = await mesh.restart();
    await expect(first).rejects.toMatchObject({ details: { acceptedBytes: 6 } });
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 2, inputOffset: 2n }]);
    await expect(write("ghi", { offset: 6 })).rejects.toMatchObject({
      code: "PRECONDITION_FAILED",
      details: { offset: 2, acceptedBytes: 0 },
    });
    expect(pieces(again)).toEqual([]);
    const rest = write("cdefghi", { offset: 2 });
    await until(() => pieces(again).length === 1);
    expect(pieces(again)[0]).toMatchObject({ offset: 2n, data: "cdefghi" });
    ack(9, false, again);
    expect(await rest).toEqual({ acceptedBytes: 7 });
  });

  it("E8: is not given to another attempt; its writer is told", async () => {
    await run();
    const written = write("abc");
    await until(() => pieces().length === 1);
    node.tasks.close();
    await until(async () => (await mesh.task(taskId)).disconnected);
    await mesh.clock.advance(1_000);
    const again = await mesh.connect(nodeId);
    await until(() => again.grants().some(({ attempt }) => attempt === 2));
    await run(again, 2);
    await expect(written).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(pieces(again)).toEqual([]);
  });
});

describe("the word of a node that does not hold the attempt", () => {
  it("I8: moves nothing, neither in an acknowledgement nor in a hello", async () => {
    await run();
    const written = write("abc");
    await until(() => pieces().length === 1);
    const strange = await mesh.dial(await mesh.addNode({ ownerId: "bob" as never }));
    await strange.hello([{ taskId, attempt: 1, state: 2, inputOffset: 99n }]);
    ack(99, true, strange);
    await turns();
    ack(3);
    expect(await written).toEqual({ acceptedBytes: 3 });
    const more = write("d");
    await until(() => pieces().length === 2);
    expect(pieces()[1]).toMatchObject({ offset: 3n, data: "d" });
    ack(4);
    await more;
  });
});
