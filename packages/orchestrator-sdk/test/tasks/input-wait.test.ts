/** How long a writer of input waits, and for what: a node, its turn, its own body, a process that reads slowly. */
import { beforeEach, describe, expect, it } from "vitest";
import { MAX_PENDING_INPUT_BYTES, type NodeId, type SessionId, type TaskId } from "@cortex-mesh/protocol";
import { MAX_INPUT_WRITERS } from "../../src/tasks/input-channel.js";
import { INPUT_STALL_MS, INPUT_WAIT_MS } from "../../src/tasks/input-holder.js";
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
/** A body that never says anything. */
async function* silence(): AsyncGenerator<Uint8Array> {
  await new Promise(() => undefined);
  yield new Uint8Array(0);
}
const write = (text: string, options: { readonly eof?: boolean; readonly signal?: AbortSignal } = {}) => {
  const written = mesh.services.tasks.input(alice, taskId, { data: chunks(text), eof: false, ...options });
  written.catch(() => undefined);
  return written;
};
const run = async (by = node, attempt = 1): Promise<void> => {
  by.started({ taskId, attempt });
  await mesh.reaches(taskId, "running");
};
/** The task runs, and silence of its node does not give it to another attempt soon. */
const runOnce = async (): Promise<void> => {
  node.ended({ taskId, attempt: 1 });
  taskId = await mesh.submit(sessionId, { stdin: true, effect: "once" });
  await mesh.reaches(taskId, "leased");
  await run();
};
const ack = (offset: number, closed = false, by = node): void =>
  by.say({ case: "inputAck", value: { taskId, attempt: 1, offset: BigInt(offset), closed } });
const pieces = (by = node) =>
  by.bodies("input").map((piece) => ({ ...piece, data: Buffer.from(piece?.data ?? []).toString() }));

describe("input for a task that no node runs right now", () => {
  it("E8: waits a bounded time, then says that nothing was taken", async () => {
    const waiting = await mesh.submit(await mesh.addSession([await mesh.addNode()]), { stdin: true });
    const timers = mesh.clock.pendingCount;
    const written = mesh.services.tasks.input(alice, waiting, { data: chunks("abc"), eof: false });
    const refused = expect(written).rejects.toMatchObject({ code: "UNAVAILABLE", details: { acceptedBytes: 0 } });
    await mesh.clock.advance(INPUT_WAIT_MS - 1);
    let isSettled = false;
    written.catch(() => (isSettled = true));
    await turns();
    expect(isSettled).toBe(false);
    await mesh.clock.advance(1);
    await refused;
    expect(mesh.clock.pendingCount).toBeLessThanOrEqual(timers);
  });

  it("E8: leaves at once with its caller, also while it waits for its turn or for the body", async () => {
    const waiting = await mesh.submit(await mesh.addSession([await mesh.addNode()]), { stdin: true });
    const early = new AbortController();
    const first = mesh.services.tasks.input(alice, waiting, { data: chunks("a"), eof: false, signal: early.signal });
    await turns();
    early.abort(new Error("left early"));
    await expect(first).rejects.toThrow("left early");
    await run();
    const stuck = new AbortController();
    const body = mesh.services.tasks.input(alice, taskId, { data: silence(), eof: false, signal: stuck.signal });
    body.catch(() => undefined);
    const queueing = new AbortController();
    const behind = write("behind", { signal: queueing.signal });
    const last = write("last");
    await turns();
    queueing.abort(new Error("left the queue"));
    await expect(behind).rejects.toThrow("left the queue");
    expect(pieces()).toEqual([]);
    stuck.abort(new Error("left the body"));
    await expect(body).rejects.toThrow("left the body");
    await until(() => pieces().length === 1);
    expect(pieces()[0]).toMatchObject({ data: "last", offset: 0n });
    ack(4);
    await last;
  });

  it("E8: ends a body that never ends with the task", async () => {
    await run();
    const written = mesh.services.tasks.input(alice, taskId, { data: silence(), eof: false });
    const refused = expect(written).rejects.toMatchObject({ code: "ALREADY_ENDED", details: { acceptedBytes: 0 } });
    await turns();
    node.ended({ taskId, attempt: 1 });
    await refused;
  });

  it("E8: takes only so many writers, each of which holds a request", async () => {
    await run();
    const all = Array.from({ length: MAX_INPUT_WRITERS }, () => write("x"));
    await until(() => pieces().length === 1);
    await expect(write("one too many")).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
    for (let taken = 1; taken <= all.length; taken++) {
      await until(() => pieces().length === taken);
      ack(taken);
    }
    await Promise.all(all);
    const more = write("y");
    await until(() => pieces().length === all.length + 1);
    ack(all.length + 1);
    await more;
  });

  it("E8: a writer who was left by the node goes on where it was told, and each byte arrives once", async () => {
    await runOnce();
    const text = Array.from({ length: 20_000 }, (_, index) => `${index}`).join("\n");
    const arrived: Buffer[] = [];
    const take = (by: ScriptedNode): void => {
      const [piece] = by.bodies("input").slice(-1);
      const have = Buffer.concat(arrived).byteLength;
      arrived.push(Buffer.from(piece?.data ?? []).subarray(Math.max(0, have - Number(piece?.offset))));
    };
    const written = write(text);
    await until(() => pieces().length === 1);
    take(node);
    // The process took it, and the node vanished before it could say so.
    node.tasks.close();
    await until(async () => (await mesh.task(taskId)).disconnected);
    const refused = expect(written).rejects.toMatchObject({
      code: "UNAVAILABLE",
      details: { acceptedBytes: 64 * 1024 },
    });
    await mesh.clock.advance(INPUT_WAIT_MS);
    await refused;
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 2, inputOffset: 64n * 1024n }]);
    const rest = write(text.slice(64 * 1024), { eof: true });
    for (let count = 1; arrived.length === 0 || !again.bodies("input").at(-1)?.eof; count++) {
      await until(() => again.bodies("input").length === count);
      take(again);
      ack(Buffer.concat(arrived).byteLength, again.bodies("input").at(-1)?.eof, again);
    }
    expect(await rest).toEqual({ acceptedBytes: text.length - 64 * 1024 });
    expect(Buffer.concat(arrived).toString()).toBe(text);
  });

  it("E8: what never left the hub is not counted as taken, and not sent later", async () => {
    await runOnce();
    node.tasks.close();
    await until(async () => (await mesh.task(taskId)).disconnected);
    const refused = expect(write("abc")).rejects.toMatchObject({ code: "UNAVAILABLE", details: { acceptedBytes: 0 } });
    await mesh.clock.advance(INPUT_WAIT_MS);
    await refused;
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 2 }]);
    const written = write("def");
    await until(() => pieces(again).length === 1);
    expect(pieces(again)[0]).toMatchObject({ offset: 0n, data: "def" });
    ack(3, false, again);
    expect(await written).toEqual({ acceptedBytes: 3 });
  });

  it("E8: the wait begins when the node leaves, however long the process was slow before; two writers give up together", async () => {
    await runOnce();
    const outcomes: unknown[] = [];
    for (const text of ["abc", "def"]) write(text).catch((error: unknown) => outcomes.push(error));
    await until(() => pieces().length === 1);
    for (let elapsedMs = 0; elapsedMs < 2 * INPUT_WAIT_MS; elapsedMs += 4_000) {
      node.heartbeat();
      await mesh.clock.advance(4_000);
    }
    node.tasks.close();
    await until(async () => (await mesh.task(taskId)).disconnected);
    await mesh.clock.advance(INPUT_WAIT_MS - 1);
    expect(outcomes).toEqual([]);
    await mesh.clock.advance(1);
    await until(() => outcomes.length === 2);
    expect(outcomes).toMatchObject([
      { code: "UNAVAILABLE", details: { acceptedBytes: 3 } },
      { code: "UNAVAILABLE", details: { acceptedBytes: 0 } },
    ]);
  });

  it("E8: a node that comes back in time finds its writer still there", async () => {
    await run();
    const written = write("abc");
    await until(() => pieces().length === 1);
    node.tasks.close();
    await until(async () => (await mesh.task(taskId)).disconnected);
    await mesh.clock.advance(900);
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 2 }]);
    await until(() => pieces(again).length === 1);
    // The wait for a node is over: a process that does not read holds its writer up for longer.
    for (let elapsedMs = 0; elapsedMs < 4 * INPUT_WAIT_MS; elapsedMs += 4_000) {
      again.heartbeat();
      await mesh.clock.advance(4_000);
    }
    ack(3, false, again);
    expect(await written).toEqual({ acceptedBytes: 3 });
  });
});

describe("input for a process that takes nothing", () => {
  /** Time passes in steps in which the node stays alive. */
  const pass = async (ms: number): Promise<void> => {
    for (let leftMs = ms; leftMs > 0; leftMs -= 4_000) {
      node.heartbeat();
      await mesh.clock.advance(Math.min(4_000, leftMs));
    }
  };

  it("E8: waits as long as something is taken now and then, then says how much was, before HTTP clients give up", async () => {
    expect(INPUT_WAIT_MS + 3 * INPUT_STALL_MS).toBeLessThan(300_000);
    await run();
    let outcome: unknown;
    const written = write("x".repeat(200 * 1024));
    written.catch((error: unknown) => (outcome = error));
    await until(() => pieces().length === 1);
    await pass(INPUT_STALL_MS - 1);
    ack(1);
    await turns();
    await pass(INPUT_STALL_MS - 1);
    ack(64 * 1024);
    await until(() => pieces().length === 2);
    await pass(INPUT_STALL_MS - 1);
    await turns();
    expect(outcome).toBeUndefined();
    await pass(1);
    await until(() => outcome !== undefined);
    expect(outcome).toMatchObject({ code: "UNAVAILABLE", details: { acceptedBytes: 128 * 1024 } });
    const rest = write("y");
    ack(128 * 1024);
    await until(() => pieces().length === 3);
    expect(pieces()[2]).toMatchObject({ offset: 128n * 1024n, data: "y" });
    ack(128 * 1024 + 1);
    expect(await rest).toEqual({ acceptedBytes: 1 });
  });

  it("E8: is not waited for either by those who are behind in turn", async () => {
    await run();
    const stuck = new AbortController();
    const first = mesh.services.tasks.input(alice, taskId, { data: silence(), eof: false, signal: stuck.signal });
    first.catch(() => undefined);
    await turns();
    const timers = mesh.clock.pendingCount;
    const behind = expect(write("behind")).rejects.toMatchObject({
      code: "UNAVAILABLE",
      details: { acceptedBytes: 0 },
    });
    await turns();
    await pass(INPUT_STALL_MS);
    await behind;
    expect(mesh.clock.pendingCount).toBeLessThanOrEqual(timers);
    const last = write("last");
    stuck.abort();
    await until(() => pieces().length === 1);
    expect(pieces()[0]).toMatchObject({ offset: 0n, data: "last" });
    ack(4);
    await last;
  });
});

describe("a body that is longer than what may be under way", () => {
  it("E8: streams with back-pressure: the hub reads on when the process has read", async () => {
    await run();
    let readBytes = 0;
    async function* body(): AsyncGenerator<Uint8Array> {
      for (let index = 0; index < 64; index++) {
        readBytes += 16 * 1024;
        yield Buffer.alloc(16 * 1024, index);
      }
    }
    const written = mesh.services.tasks.input(alice, taskId, { data: body(), eof: false });
    let takenBytes = 0;
    while (takenBytes < 64 * 16 * 1024) {
      const count = takenBytes / (16 * 1024) + 1;
      await until(() => pieces().length === count);
      await turns();
      expect(readBytes - takenBytes).toBeLessThanOrEqual(MAX_PENDING_INPUT_BYTES);
      expect(pieces()).toHaveLength(count);
      takenBytes += 16 * 1024;
      ack(takenBytes);
    }
    expect(await written).toEqual({ acceptedBytes: 1024 * 1024 });
  });
});
