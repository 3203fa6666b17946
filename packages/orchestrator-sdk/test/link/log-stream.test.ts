import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { LogFrameSchema, LogKind } from "@cortex-mesh/protocol/gen";
import { createMemoryLinkPair } from "@cortex-mesh/testing";
import { systemScope } from "../../src/access/scope.js";
import { createHubConnection } from "../../src/link/hub-connection.js";
import { attachLogs } from "../../src/link/log-stream.js";
import { createOutputReceiver } from "../../src/tasks/output.js";
import { MAX_UNCOMMITTED_BYTES } from "../../src/tasks/output-bounds.js";
import { createLocalWake } from "../../src/wake/local.js";
import { holdBack } from "../support/hold-back.js";
import { type Mesh, openMesh } from "../support/open-mesh.js";
import { turns, until } from "../support/until.js";

async function openRunningTask(mesh: Mesh) {
  const nodeId = await mesh.addNode();
  const sessionId = await mesh.addSession([nodeId]);
  const node = await mesh.connect(nodeId);
  const taskId = await mesh.submit(sessionId);
  await mesh.reaches(taskId, "leased");
  return { node, nodeId, taskId };
}

describe("a stream of logs", () => {
  it("T5: is not read on while its output waits for the disk", async () => {
    const mesh = await openMesh();
    const { nodeId, taskId } = await openRunningTask(mesh);
    const receiver = createOutputReceiver({
      store: mesh.store,
      files: mesh.files,
      wake: createLocalWake(),
      clock: mesh.clock,
      onError: () => undefined,
    });
    const identity = {
      nodeId,
      ownerId: "alice" as never,
      epoch: 1,
      bootId: "b",
      sessionNonce: new Uint8Array(16),
      connectedAtMs: 0,
      maxTasks: 1,
    };
    const [mine, theirs] = createMemoryLinkPair();
    attachLogs(createHubConnection(identity), theirs, receiver);
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    mesh.faults.beforeAppend = () => gate;
    const data = Buffer.alloc(256 * 1024, "x");
    const log = { name: { case: "task", value: { taskId, attempt: 1 } } } as const;
    for (let seq = 1; seq <= 160; seq++) {
      mine.send(
        toBinary(
          LogFrameSchema,
          create(LogFrameSchema, { log, seq: BigInt(seq), kind: LogKind.STDOUT, data, epoch: 1n }),
        ),
      );
      if (seq % 4 === 0) await turns(1);
    }
    await turns();
    expect(receiver.uncommittedBytes).toBeGreaterThanOrEqual(MAX_UNCOMMITTED_BYTES);
    expect(receiver.uncommittedBytes).toBeLessThan(MAX_UNCOMMITTED_BYTES + 8 * data.byteLength);
    mesh.faults.beforeAppend = undefined;
    open();
    await until(async () => {
      // Output that flows waits a moment for more.
      await mesh.clock.advance(4);
      return (await mesh.store.events.output(systemScope, taskId))?.originSeq === 160;
    });
    await receiver.close();
  });

  it("T5: is not read on while the node does not take its acknowledgements", async () => {
    const mesh = await openMesh();
    const { node, taskId } = await openRunningTask(mesh);
    const [mine, theirs] = createMemoryLinkPair();
    const held = holdBack(theirs);
    mesh.parts.gateway.openLogs(node, held.link);
    const log = { name: { case: "task", value: { taskId, attempt: 1 } } } as const;
    const send = (seq: number): void => {
      const frame = { log, seq: BigInt(seq), kind: LogKind.STDOUT, data: Buffer.from("x"), epoch: BigInt(node.epoch) };
      mine.send(toBinary(LogFrameSchema, create(LogFrameSchema, frame)));
    };
    const received = async (): Promise<unknown> => {
      node.heartbeat();
      await mesh.clock.advance(4);
      await turns(1);
      return (await mesh.store.events.output(systemScope, taskId))?.originSeq;
    };
    send(1);
    await until(async () => (await received()) === 1);
    send(2);
    // Longer than output that flows waits for more.
    for (let look = 0; look < 200; look += 1) expect(await received()).toBe(1);
    held.release();
    await until(async () => (await received()) === 2);
  });

  it("T2: a record over the limit ends the stream, and nothing else", async () => {
    const mesh = await openMesh();
    const { node, taskId } = await openRunningTask(mesh);
    node.log({ taskId, attempt: 1 }, { seq: 1, bytes: Buffer.alloc(256 * 1024 + 1) });
    expect(await until(() => node.logsClosed)).toMatchObject({ code: "TOO_LARGE" });
    expect(node.acked({ taskId, attempt: 1 })).toBe(0);
    expect(node.tasksClosed).toBeUndefined();
  });

  it("T2: a record of another epoch stores nothing", async () => {
    const mesh = await openMesh();
    const { node, taskId } = await openRunningTask(mesh);
    const log = { name: { case: "task", value: { taskId, attempt: 1 } } } as const;
    const old = { log, seq: 1n, kind: LogKind.STDOUT, data: Buffer.from("old"), epoch: BigInt(node.epoch - 1) };
    node.openLogs().send(toBinary(LogFrameSchema, create(LogFrameSchema, old)));
    node.log({ taskId, attempt: 1 }, { seq: 1, text: "new!" });
    await until(() => node.acked({ taskId, attempt: 1 }) === 1);
    expect(await mesh.store.events.output(systemScope, taskId)).toMatchObject({ stdoutBytes: 4 });
  });
});
