import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Link } from "@cortex-mesh/protocol";
import { createVirtualClock } from "@cortex-mesh/testing";
import { startLogSender } from "../../src/link/log-sender.js";
import { createSpool } from "../../src/runner/spool.js";
import { taskIdOf } from "../support/scripted-hub.js";
import { startNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";
import { systemError, watchFiles } from "../support/watch-files.js";

const PIECE_BYTES = 100_000;

/** A node whose task 1 runs and has written more than memory holds while the hub was away. */
async function startFarBehind() {
  const watched = watchFiles();
  const node = await startNode({}, { files: watched.files });
  const first = await node.hub.connection(1);
  first.dispatch({ index: 1 });
  await first.heard("started", 1);
  first.cut();
  await settle();
  const { request } = node.probe.runs.get(taskIdOf(1))!;
  for (let piece = 0; piece < 80; piece += 1) await request.write("stdout", Buffer.alloc(PIECE_BYTES, 65));
  await node.spool.list()[0]!.log.flush();
  return { node, watched, request };
}

/** Connects, and ends the first read of the log only when it is told to. */
async function connectReading({ node, watched }: Awaited<ReturnType<typeof startFarBehind>>) {
  let endRead = (): void => {};
  let isReading = false;
  const reading = new Promise<void>((resolve) => {
    endRead = resolve;
  });
  watched.fault = async (operation) => {
    if (operation !== "read") return;
    isReading = true;
    await reading;
  };
  await node.clock.advance(1_000);
  const second = await node.hub.connection(2);
  await waitUntil(() => isReading, "a read");
  return { second, endRead };
}

describe("what sends the logs", () => {
  it.each(["EMFILE", "EIO"])(
    "T8: a log that could not be read (%s) is read again, and the others go on",
    async (code) => {
      const far = await startFarBehind();
      await using node = far.node;
      let refusals = 0;
      far.watched.fault = (operation) => {
        if (operation !== "read") return;
        refusals += 1;
        throw systemError(code);
      };
      await node.clock.advance(1_000);
      const second = await node.hub.connection(2);
      await waitUntil(() => refusals > 0, "a read that fails");
      second.dispatch({ index: 2, skill: "shell", input: { command: "echo quiet" } });
      await waitUntil(() => node.hub.output(2).text === "quiet\n", "the other log");
      // Later and later, and who writes is not held meanwhile.
      for (let piece = 0; piece < 40; piece += 1) await far.request.write("stdout", Buffer.alloc(PIECE_BYTES, 66));
      for (let second = 0; second < 10; second += 1) {
        await node.clock.advance(1_000);
        await settle();
      }
      expect(refusals).toBeGreaterThan(3);
      expect(refusals).toBeLessThan(10);
      expect(node.hub.output(1).seqs).toEqual([]);
      far.watched.fault = () => undefined;
      await node.clock.advance(10_000);
      await waitUntil(() => node.hub.output(1).seqs.length === 120, "all of it");
      expect(node.hub.output(1)).toMatchObject({ holes: [], gapBytes: 0 });
      expect(second.isOver).toBe(false);
      expect(second.logStreams).toBe(1);
    },
  );

  it.each([
    ["connection", "cut"],
    ["stream", "closeLogs"],
  ] as const)("T5: a task is not held by a read of its log that ends after the %s did", async (_, end) => {
    const far = await startFarBehind();
    await using node = far.node;
    const { second, endRead } = await connectReading(far);
    second[end]();
    await settle();
    endRead();
    await settle(200);
    let writes = 0;
    void (async () => {
      for (; writes < 40; writes += 1) await far.request.write("stdout", Buffer.alloc(PIECE_BYTES, 66));
    })();
    await waitUntil(() => writes === 40, "all writes");
    node.probe.runs.get(taskIdOf(1))!.exit(0);
  });

  it("T5: a task is not held by a read that ends while a closed stream still waits for the hub to close it, too", async () => {
    const directory = await mkdtemp(join(tmpdir(), "cortex-sender-"));
    const watched = watchFiles();
    const clock = createVirtualClock();
    const spool = createSpool({ directory, clock, files: watched.files });
    const spooled = await spool.open({ taskId: taskIdOf(1), attempt: 1 });
    for (let piece = 0; piece < 80; piece += 1) {
      await spooled.log.ready();
      spooled.log.append(1, Buffer.alloc(PIECE_BYTES, 65));
    }
    await spooled.log.flush();
    let endRead: (() => void) | undefined;
    watched.fault = async (operation) => {
      if (operation === "read") await new Promise<void>((resolve) => (endRead ??= resolve));
    };
    const link: Link = {
      send: () => {},
      bufferedBytes: 0,
      drained: async () => {},
      onFrames: () => {},
      close: () => {},
      closed: new Promise(() => {}),
    };
    const none = (): void => {};
    const sender = startLogSender({ spool, clock, epoch: 1n, openLink: () => link, onAcked: none, onRefused: none });
    await waitUntil(() => endRead, "a read");
    expect(spooled.flow.hasRoom).toBe(false);
    sender.close();
    expect(spooled.flow.hasRoom).toBe(true);
    endRead?.();
    await settle(200);
    expect(spooled.flow.hasRoom).toBe(true);
    await spool.close();
    await rm(directory, { recursive: true });
  });

  it("T8: the lost end of a quiet task's log is noticed while a noisy one is acknowledged", async () => {
    await using node = await startNode();
    node.hub.behaviour.acksLogs = false;
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    hub.dispatch({ index: 2 });
    await hub.heard("started", 2);
    const [quiet, noisy] = [1, 2].map((index) => node.probe.runs.get(taskIdOf(index))!.request);
    await quiet!.write("stdout", Buffer.from("quiet"));
    await waitUntil(() => node.hub.output(1).seqs.length === 1, "the quiet one");
    for (let seconds = 5; seconds <= 30; seconds += 5) {
      const sent = seconds / 5;
      await noisy!.write("stdout", Buffer.from("x"));
      await waitUntil(() => node.hub.output(2).seqs.length >= sent, "the noisy one");
      hub.ackLog(2, sent);
      await settle();
      expect(hub.logStreams).toBe(1);
      await node.clock.advance(5_000);
    }
    await node.clock.advance(100);
    await waitUntil(() => hub.logStreams === 2, "the next stream");
    await waitUntil(() => node.hub.duplicates > 0, "the quiet one again");
    expect(hub.isOver).toBe(false);
  });

  it("T8: a log that is answered in time keeps its stream, however long it goes on", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    const { request } = node.probe.runs.get(taskIdOf(1))!;
    for (let piece = 1; piece <= 12; piece += 1) {
      await request.write("stdout", Buffer.from("x"));
      await waitUntil(() => node.hub.output(1).seqs.length === piece, "a piece");
      await settle();
      await node.clock.advance(10_000);
    }
    expect(hub.logStreams).toBe(1);
  });
});
