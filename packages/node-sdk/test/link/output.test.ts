import { describe, expect, it } from "vitest";
import { Outcome } from "@cortex-mesh/protocol/gen";
import { taskIdOf } from "../support/scripted-hub.js";
import { startNode, type TestNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at + 1);
}

/** Waits until a producer gets no further although the disk has all that it wrote. */
async function untilStill(node: TestNode, progress: () => number): Promise<void> {
  for (let [seen, rounds] = [-1, 0]; rounds < 5; rounds = progress() === seen ? rounds + 1 : 0) {
    seen = progress();
    for (const { log } of node.spool.list()) await log.flush();
    await settle();
  }
}

describe("output", () => {
  it("E2: a command's output arrives whole and in order, its end after it", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, skill: "shell", input: { command: "seq 1 20000; echo oops >&2" } });
    const response = await hub.heard("response", 1);
    expect(response).toMatchObject({ outcome: Outcome.SUCCEEDED, exitCode: 0 });
    const lastSeq = Number(response.lastLogSeq);
    await waitUntil(() => node.hub.output(1).seqs.length === lastSeq, "all records");
    expect(node.hub.output(1).text).toBe(`${upTo(20_000).join("\n")}\n`);
    expect(node.hub.output(1).seqs).toEqual(upTo(lastSeq));
  });

  it("T5: no more than a window is under way, and acknowledgements move it on", async () => {
    await using node = await startNode();
    node.hub.behaviour.acksLogs = false;
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    const { request } = node.probe.runs.get(taskIdOf(1))!;
    for (let piece = 1; piece <= 600; piece += 1) await request.write("stdout", Buffer.from("x"));
    await waitUntil(() => node.hub.output(1).seqs.length === 256, "a window");
    await settle();
    expect(node.hub.output(1).seqs).toHaveLength(256);
    hub.ackLog(1, 100);
    await waitUntil(() => node.hub.output(1).seqs.length === 356, "100 more");
    hub.ackLog(1, 356);
    await waitUntil(() => node.hub.output(1).seqs.length === 600, "the rest");
  });

  it("T8: output that was not acknowledged is sent again on the next connection, and nothing twice to the reader", async () => {
    await using node = await startNode();
    node.hub.behaviour.acksLogs = false;
    const first = await node.hub.connection(1);
    first.dispatch({ index: 1 });
    await first.heard("started", 1);
    const { request } = node.probe.runs.get(taskIdOf(1))!;
    for (let piece = 1; piece <= 300; piece += 1) await request.write("stdout", Buffer.from(`${piece};`));
    await waitUntil(() => node.hub.output(1).seqs.length === 256, "a window");
    first.ackLog(1, 50);
    await settle();
    node.hub.behaviour.acksLogs = true;
    first.cut();
    await node.clock.advance(1_000);
    const second = await node.hub.connection(2);
    await waitUntil(() => node.hub.output(1).seqs.length === 300, "all of it");
    expect(node.hub.duplicates).toBe(250);
    expect(node.hub.output(1).text).toBe(
      upTo(300)
        .map((piece) => `${piece};`)
        .join(""),
    );
    node.probe.runs.get(taskIdOf(1))!.exit(0);
    expect(await second.heard("response", 1)).toMatchObject({ lastLogSeq: 300n });
    await waitUntil(() => node.spool.list().length === 0, "the log to be deleted");
  });

  it("T8: a log stream that ends alone is opened again and goes on after what was acknowledged", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    const { request } = node.probe.runs.get(taskIdOf(1))!;
    await request.write("stdout", Buffer.from("one"));
    await waitUntil(() => node.hub.output(1).text === "one", "the first piece");
    await settle();
    hub.closeLogs();
    await settle();
    await request.write("stdout", Buffer.from(" two"));
    await node.clock.advance(100);
    await waitUntil(() => node.hub.output(1).text === "one two", "the second piece");
    expect(hub.logStreams).toBe(2);
    expect(hub.isOver).toBe(false);
    expect(node.hub.duplicates).toBe(0);
  });

  it("T8: records that the hub wants again are sent again", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    const { request } = node.probe.runs.get(taskIdOf(1))!;
    for (let piece = 1; piece <= 3; piece += 1) await request.write("stdout", Buffer.from("x"));
    await waitUntil(() => node.hub.output(1).seqs.length === 3, "three");
    await settle();
    node.hub.behaviour.acksLogs = false;
    for (let piece = 1; piece <= 3; piece += 1) await request.write("stdout", Buffer.from("y"));
    await waitUntil(() => node.hub.output(1).seqs.length === 6, "six");
    hub.ackLog(1, 4, { resend: true });
    await waitUntil(() => node.hub.duplicates === 2, "two again");
  });

  it("T8: a log that the hub refuses is dropped", async () => {
    await using node = await startNode();
    node.hub.behaviour.acksLogs = false;
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    await node.probe.runs.get(taskIdOf(1))!.request.write("stdout", Buffer.from("x"));
    await waitUntil(() => node.hub.output(1).seqs.length === 1, "one");
    hub.ackLog(1, 0, { refused: true });
    await waitUntil(() => node.spool.list().length === 0, "the log to be deleted");
  });

  it("E4: a noisy task whose window is full does not hold up a quiet one", async () => {
    await using node = await startNode();
    node.hub.behaviour.acksLogs = false;
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    hub.dispatch({ index: 2 });
    await hub.heard("started", 2);
    const noisy = node.probe.runs.get(taskIdOf(1))!.request;
    let writes = 0;
    const writing = (async () => {
      for (; writes < 100; writes += 1) await noisy.write("stdout", new Uint8Array(100_000));
    })();
    await waitUntil(() => node.hub.output(1).seqs.length === 41, "a window");
    await node.probe.runs.get(taskIdOf(2))!.request.write("stdout", Buffer.from("quiet"));
    await waitUntil(() => node.hub.output(2).text === "quiet", "the quiet one");
    expect(node.hub.output(1).seqs).toHaveLength(41);
    await untilStill(node, () => writes);
    // Held: what is sent and not acknowledged, and what may be unsent.
    expect(writes).toBeLessThan(64);
    node.probe.runs.get(taskIdOf(1))!.exit(0);
    await writing;
    expect(writes).toBe(100);
  });

  it("T5: a producer is held only while a connection sends: without one its output goes to the disk", async () => {
    await using node = await startNode();
    node.hub.behaviour.acksLogs = false;
    const first = await node.hub.connection(1);
    first.dispatch({ index: 1 });
    await first.heard("started", 1);
    const { request } = node.probe.runs.get(taskIdOf(1))!;
    let writes = 0;
    const writing = (async () => {
      for (; writes < 100; writes += 1) await request.write("stdout", Buffer.alloc(100_000, writes));
    })();
    await waitUntil(() => node.hub.output(1).seqs.length === 41, "a window");
    await untilStill(node, () => writes);
    expect(writes).toBeLessThan(64);
    node.hub.behaviour.acksLogs = true;
    first.cut();
    await writing;
    expect(writes).toBe(100);
    await node.clock.advance(1_000);
    await waitUntil(() => node.hub.output(1).seqs.length === 100, "all of it");
  });

  it("E4: logs take turns, so a quiet task's output is not behind all of a noisy one's", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    first.dispatch({ index: 1 });
    first.dispatch({ index: 2 });
    await first.heard("started", 2);
    first.cut();
    await settle();
    const noisy = node.probe.runs.get(taskIdOf(1))!.request;
    for (let piece = 1; piece <= 30; piece += 1) await noisy.write("stdout", new Uint8Array(100_000));
    await node.probe.runs.get(taskIdOf(2))!.request.write("stdout", Buffer.from("quiet"));
    await node.clock.advance(1_000);
    await waitUntil(() => node.hub.arrivals.length === 31, "all of it");
    expect(node.hub.arrivals.indexOf(taskIdOf(2))).toBeLessThan(4);
  });

  it("X4: output over the limit ends the task and shows as a gap of that many bytes", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, outputBytes: 10 });
    await hub.heard("started", 1);
    await node.probe.runs.get(taskIdOf(1))!.request.write("stdout", Buffer.from("0123456789abcdef"));
    const response = await hub.heard("response", 1);
    expect(response).toMatchObject({ outcome: Outcome.FAILED, cause: "output", lastLogSeq: 2n });
    await waitUntil(() => node.hub.output(1).seqs.length === 2, "both records");
    expect(node.hub.output(1)).toMatchObject({ text: "0123456789", gapBytes: 6 });
  });

  it("E2: a task without output has no log, and no data connection is made for it", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, skill: "shell", input: { argv: ["true"] } });
    expect(await hub.heard("response", 1)).toMatchObject({ lastLogSeq: 0n, outcome: Outcome.SUCCEEDED });
    await settle();
    expect(hub.logStreams).toBe(0);
    expect(await node.state.listOpen()).toEqual([]);
  });
});
