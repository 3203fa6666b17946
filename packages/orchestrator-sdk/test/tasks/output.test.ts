import { beforeEach, describe, expect, it } from "vitest";
import type { CortexError } from "@cortex-mesh/protocol";
import { type NodeId, type SessionId, type TaskId } from "@cortex-mesh/protocol";
import { LogKind } from "@cortex-mesh/protocol/gen";
import { systemScope } from "../../src/access/scope.js";
import { FIRST_BOUNCE_PAUSE_MS } from "../../src/tasks/bounce-pause.js";
import { createOutputReceiver, type OutputReceiver } from "../../src/tasks/output.js";
import { MAX_UNCOMMITTED_BYTES } from "../../src/tasks/output-bounds.js";
import type { OutputPiece } from "../../src/tasks/output-plan.js";
import type { OutputAnswer, OutputReply, OutputSource } from "../../src/tasks/output-sink.js";
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
  mesh = await openMesh();
  nodeId = await mesh.addNode();
  sessionId = await mesh.addSession([nodeId]);
  node = await mesh.connect(nodeId);
  taskId = await mesh.submit(sessionId);
  await mesh.reaches(taskId, "leased");
});

const piece = (seq: number, kind: OutputPiece["kind"], text: string): OutputPiece => ({
  seq,
  kind,
  atMs: 1,
  bytes: Buffer.from(text),
  data: null,
});
const textOf = async (hub: Mesh, stream: "stdout" | "stderr"): Promise<string> => {
  const { sizeBytes, read } = await hub.services.tasks.output(alice, taskId, stream);
  const chunks: Uint8Array[] = [];
  for await (const chunk of read(0, sizeBytes)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};

/** A receiver of its own beside the mesh's, with what it said. */
function openReceiver(hub: Mesh): {
  readonly receiver: OutputReceiver;
  readonly answers: OutputAnswer[];
  readonly failures: CortexError[];
  readonly reply: OutputReply;
} {
  const answers: OutputAnswer[] = [];
  const failures: CortexError[] = [];
  const reply = {
    answer: (answer: OutputAnswer) => void answers.push(answer),
    fail: (reason: CortexError) => void failures.push(reason),
  };
  const receiver = createOutputReceiver({
    store: hub.store,
    files: hub.files,
    wake: createLocalWake(),
    clock: hub.clock,
    onError: () => undefined,
  });
  return { receiver, answers, failures, reply };
}
const source = (changes: Partial<OutputSource> = {}): OutputSource => ({ taskId, attempt: 1, nodeId, ...changes });

describe("output that arrives", () => {
  it("E2: interleaved streams keep their bytes, and the hub numbers events without a gap", async () => {
    let seq = 0;
    const expected = { stdout: "", stderr: "" };
    for (let i = 0; i < 300; i++) {
      const isError = i % 3 === 0;
      const text = `${isError ? "err" : "out"} ${i} ${"x".repeat(i % 50)}\n`;
      expected[isError ? "stderr" : "stdout"] += text;
      node.log({ taskId, attempt: 1 }, { seq: ++seq, kind: isError ? LogKind.STDERR : LogKind.STDOUT, text });
      if (i % 40 === 0) await turns(2);
    }
    await until(() => node.acked({ taskId, attempt: 1 }) === seq);
    expect(await textOf(mesh, "stdout")).toBe(expected.stdout);
    expect(await textOf(mesh, "stderr")).toBe(expected.stderr);
    const events = await mesh.store.events.read(systemScope, taskId, { afterSeq: 0, limit: 1000 });
    expect(events.map((event) => event.seq)).toEqual(events.map((_event, index) => index + 1));
    const ends = { stdout: 0, stderr: 0 };
    for (const { kind, offset, length } of events) {
      if (kind !== "stdout" && kind !== "stderr") continue;
      expect(offset).toBe(ends[kind]);
      ends[kind] = offset + length;
    }
  });

  it("T5: what the node dropped by policy is an event with its size", async () => {
    node.log({ taskId, attempt: 1 }, { seq: 1, kind: LogKind.GAP });
    node.log({ taskId, attempt: 1 }, { seq: 2, kind: LogKind.PROGRESS, text: '{"done":1}' });
    await until(() => node.acked({ taskId, attempt: 1 }) === 2);
    const events = await mesh.store.events.read(systemScope, taskId, { afterSeq: 0, limit: 10 });
    expect(events.slice(-2)).toMatchObject([
      { kind: "gap", data: { bytes: 0 } },
      { kind: "progress", data: { done: 1 } },
    ]);
  });

  it("T8: a repeat is acknowledged again and stored once; a hole is asked for once a stream", async () => {
    const { receiver, answers, reply } = openReceiver(mesh);
    for (const seq of [1, 2, 2, 1, 4, 5, 6]) receiver.receive(source(), piece(seq, "stdout", String(seq)), reply);
    await until(() => receiver.uncommittedBytes === 0);
    expect(answers.filter(({ resend }) => resend)).toEqual([
      { ...source(), throughSeq: expect.any(Number), resend: true, refused: false },
    ]);
    const answerCount = answers.length;
    receiver.receive(source(), piece(1, "stdout", "1"), reply);
    await until(() => answers.length === answerCount + 1);
    expect(answers.at(-1)).toMatchObject({ throughSeq: 2, resend: false });
    for (const seq of [3, 4]) receiver.receive(source(), piece(seq, "stdout", String(seq)), reply);
    await until(() => answers.at(-1)?.throughSeq === 4);
    expect(await textOf(mesh, "stdout")).toBe("1234");
    await receiver.close();
  });
});

describe("before it is acknowledged", () => {
  it("T8: bytes are in the file and offsets in the store: what fails in between is not acknowledged", async () => {
    mesh.faults.isStoreFull = true;
    node.log({ taskId, attempt: 1 }, { seq: 1, text: "one" });
    await until(() => node.logsClosed);
    expect(node.logsClosed).toMatchObject({ code: "STORAGE_FULL" });
    expect(node.acked({ taskId, attempt: 1 })).toBe(0);
    expect(await textOf(mesh, "stdout")).toBe("");
    mesh.faults.isStoreFull = false;
    node.openLogs();
    node.log({ taskId, attempt: 1 }, { seq: 1, text: "one" });
    await until(() => node.acked({ taskId, attempt: 1 }) === 1);
    expect(await textOf(mesh, "stdout")).toBe("one");
  });

  it("T8: a file that cannot be written acknowledges nothing, and the result waits until the output came again", async () => {
    mesh.faults.beforeAppend = () => {
      throw new Error("no device");
    };
    node.log({ taskId, attempt: 1 }, { seq: 1, text: "one" });
    node.ended({ taskId, attempt: 1 }, { lastLogSeq: 2 });
    await until(() => node.logsClosed);
    mesh.faults.beforeAppend = undefined;
    node.openLogs();
    node.log({ taskId, attempt: 1 }, { seq: 1, text: "one" });
    await until(() => node.acked({ taskId, attempt: 1 }) === 1);
    expect((await mesh.task(taskId)).state).toBe("leased");
    node.log({ taskId, attempt: 1 }, { seq: 2, text: "two" });
    await mesh.reaches(taskId, "succeeded");
    expect(await textOf(mesh, "stdout")).toBe("onetwo");
    await until(() => node.bodies("responseAck").length === 1);
  });

  it("H4: a hub that dies between file and store writes the same range again", async () => {
    node.log({ taskId, attempt: 1 }, { seq: 1, text: "one" });
    await until(() => node.acked({ taskId, attempt: 1 }) === 1);
    await mesh.files.append(taskId, "stdout", { offset: 3, chunks: [Buffer.from("LOST AND LONGER")] });
    const next = await mesh.restart();
    const again = await next.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 2 }]);
    again.log({ taskId, attempt: 1 }, { seq: 1, text: "one" });
    again.log({ taskId, attempt: 1 }, { seq: 2, text: "two" });
    await until(() => again.acked({ taskId, attempt: 1 }) === 2);
    expect(await textOf(next, "stdout")).toBe("onetwo");
    expect(again.acks.some(({ resend }) => resend)).toBe(false);
  });
});

describe("who may write", () => {
  it("I8: a node that does not hold the attempt is refused, also when the log is open", async () => {
    const strange = await mesh.addNode({ ownerId: "bob" as never });
    const foreign = await mesh.connect(strange);
    node.log({ taskId, attempt: 1 }, { seq: 1, text: "mine" });
    await until(() => node.acked({ taskId, attempt: 1 }) === 1);
    foreign.log({ taskId, attempt: 1 }, { seq: 2, text: "FORGED" });
    await until(() => foreign.acks.some(({ refused }) => refused));
    expect(await textOf(mesh, "stdout")).toBe("mine");
  });

  it("T8: an attempt that was taken from its node writes nothing more, and the next one goes on behind it", async () => {
    const { receiver, answers, reply } = openReceiver(mesh);
    receiver.receive(source(), piece(1, "stdout", "first "), reply);
    await until(() => answers.length === 1);
    node.declined({ taskId, attempt: 1 }, false);
    await mesh.reaches(taskId, "queued");
    await mesh.clock.advance(FIRST_BOUNCE_PAUSE_MS);
    await until(async () => (await mesh.task(taskId)).attempt === 2);
    // The receiver was not told: its open log finds out by itself.
    receiver.receive(source(), piece(2, "stdout", "LATE"), reply);
    await until(() => answers.at(-1)?.refused);
    receiver.receive(source({ attempt: 2 }), piece(1, "stdout", "second"), reply);
    await until(() => answers.at(-1)?.attempt === 2);
    expect(await textOf(mesh, "stdout")).toBe("first second");
    await receiver.close();
  });

  it("T8: output of a task that ended is refused, so that the node drops it", async () => {
    node.ended({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "succeeded");
    node.log({ taskId, attempt: 1 }, { seq: 1, text: "late" });
    await until(() => node.acks.some(({ refused }) => refused));
    expect(await textOf(mesh, "stdout")).toBe("");
  });
});

describe("memory", () => {
  it("T5: what waits for the disk is bounded: there is room again only when something was committed", async () => {
    const { receiver, answers, reply } = openReceiver(mesh);
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    mesh.faults.beforeAppend = () => gate;
    const bytes = Buffer.alloc(256 * 1024, "x");
    let seq = 0;
    while (receiver.uncommittedBytes < MAX_UNCOMMITTED_BYTES) {
      await receiver.room();
      receiver.receive(source(), { ...piece(++seq, "stdout", ""), bytes }, reply);
    }
    let hasRoom = false;
    const room = receiver.room().then(() => {
      hasRoom = true;
    });
    await turns();
    expect(hasRoom).toBe(false);
    mesh.faults.beforeAppend = undefined;
    open();
    await room;
    await until(() => answers.at(-1)?.throughSeq === seq);
    expect(receiver.uncommittedBytes).toBe(0);
    await receiver.close();
  });

  it("T5: records without bytes of output count as well", async () => {
    const { receiver, reply } = openReceiver(mesh);
    for (let seq = 1; seq <= 10; seq++) receiver.receive(source(), piece(seq, "progress", "1"), reply);
    expect(receiver.uncommittedBytes).toBeGreaterThanOrEqual(10 * 100);
    await until(() => receiver.uncommittedBytes === 0);
    await receiver.close();
  });
});
