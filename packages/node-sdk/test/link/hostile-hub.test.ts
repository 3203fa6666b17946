import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { HubTaskFrameSchema } from "@cortex-mesh/protocol/gen";
import { type HubConnection, taskIdOf } from "../support/scripted-hub.js";
import { startNode, type TestNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";

const JUNK = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);

/** The node is back and does what it is for. */
async function assertWorks(node: TestNode, number: number): Promise<void> {
  await node.clock.advance(2_000);
  const hub = await node.hub.connection(number);
  hub.dispatch({ index: 90 });
  await hub.heard("started", 90);
  expect(node.probe.starts.get(taskIdOf(90))).toBe(1);
}

function frame(fields: { readonly seq: bigint; readonly epoch: bigint }): Uint8Array {
  return toBinary(
    HubTaskFrameSchema,
    create(HubTaskFrameSchema, { ...fields, body: { case: "pong", value: { id: 1n } } }),
  );
}

describe("a hub that sends what no hub does", () => {
  it.each<[string, (hub: HubConnection) => void]>([
    ["bytes that are no frame on the control stream", (hub) => hub.sendRaw("tasks", JUNK)],
    ["bytes that are no answer on the health stream", (hub) => hub.sendRaw("health", JUNK)],
    ["a frame with a hole before it", (hub) => hub.sendRaw("tasks", frame({ seq: 9n, epoch: hub.epoch }))],
    ["a frame of an epoch that is to come", (hub) => hub.sendRaw("tasks", frame({ seq: 2n, epoch: hub.epoch + 1n }))],
  ])("T2: %s loses its connection, and the node comes back", async (_what, attack) => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    await waitUntil(() => node.events.includes("online"), "the welcome");
    attack(hub);
    await waitUntil(() => hub.isOver, "the end of the connection");
    await assertWorks(node, 2);
  });

  it.each<[string, (hub: HubConnection) => void]>([
    ["a frame of an epoch that is over", (hub) => hub.sendRaw("tasks", frame({ seq: 2n, epoch: hub.epoch - 1n }))],
    ["a frame that came before", (hub) => hub.sendRaw("tasks", frame({ seq: 1n, epoch: hub.epoch }))],
    ["a frame without a number", (hub) => hub.sendRaw("tasks", frame({ seq: 0n, epoch: hub.epoch }))],
    ["a second welcome", (hub) => hub.send({ case: "welcome", value: { epoch: hub.epoch } } as never)],
  ])("T2: %s changes nothing", async (_what, attack) => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    await waitUntil(() => node.events.includes("online"), "the welcome");
    attack(hub);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    expect(hub.isOver).toBe(false);
  });

  it("T2: an acknowledgement that is none ends its log stream alone; the output arrives on the next one", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    const { request } = node.probe.runs.get(taskIdOf(1))!;
    await request.write("stdout", Buffer.from("one;"));
    await waitUntil(() => node.hub.output(1).text === "one;", "the first record");
    hub.sendRaw("logs", JUNK);
    await settle();
    await node.clock.advance(1_000);
    await request.write("stdout", Buffer.from("two;"));
    await waitUntil(() => node.hub.output(1).text === "one;two;", "the second record");
    expect(hub.isOver).toBe(false);
    expect(hub.logStreams).toBe(2);
  });

  it("T2: an acknowledgement of what was never sent moves nothing", async () => {
    await using node = await startNode();
    node.hub.behaviour.acksLogs = false;
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    const { request } = node.probe.runs.get(taskIdOf(1))!;
    await request.write("stdout", Buffer.from("one;"));
    await waitUntil(() => node.hub.output(1).text === "one;", "the first record");
    hub.ackLog(1, Number.MAX_SAFE_INTEGER);
    await settle();
    await request.write("stdout", Buffer.from("two;"));
    await waitUntil(() => node.hub.output(1).text === "one;two;", "the second record");
  });
});

describe("a hub that says nothing", () => {
  it("T4: in answer to the hello is given up after 15 s, and dialled again", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    node.hub.behaviour.welcomes = false;
    first.cut();
    await node.clock.advance(1_000);
    const second = await node.hub.connection(2);
    await node.clock.advance(14_000);
    expect(second.isOver).toBe(false);
    node.hub.behaviour.welcomes = true;
    await node.clock.advance(1_500);
    expect(second.isOver).toBe(true);
    expect(node.events.filter((event) => event === "connectFailed TIMED_OUT")).toHaveLength(1);
    await assertWorks(node, 3);
  });

  it("T2: a dispatch in place of the welcome starts nothing and ends the connection", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    node.hub.behaviour.welcomes = false;
    first.cut();
    await node.clock.advance(1_000);
    const second = await node.hub.connection(2);
    second.dispatch({ index: 1 });
    node.hub.behaviour.welcomes = true;
    await waitUntil(() => second.isOver, "the end of the connection");
    expect(node.probe.starts.size).toBe(0);
    await assertWorks(node, 3);
  });
});
