import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { CortexError, type Link, MAX_CONTROL_MESSAGE_BYTES } from "@cortex-mesh/protocol";
import { HeldState, NodeTaskFrameSchema, Outcome, TaskResponseSchema } from "@cortex-mesh/protocol/gen";
import { MAX_HELD_IN_HELLO, makeHello } from "../../src/link/hello.js";
import type { AttemptRecord, AttemptState } from "../../src/state/node-state.js";
import { type HubConnection, taskIdOf } from "../support/scripted-hub.js";
import { startNode, type TestNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";

function recordOf(index: number, state: AttemptState, response?: Uint8Array): AttemptRecord {
  return {
    taskId: `task_01HZZZZZZZZZZZZZZZZ${String(index).padStart(7, "0")}`,
    attempt: 1,
    state,
    grantId: "",
    startedAtMs: 0,
    response,
    hasLog: false,
    lastLogSeq: 0,
    changedAtMs: Date.UTC(2026, 0, 1),
  };
}

async function put(node: TestNode, records: readonly AttemptRecord[]): Promise<void> {
  await node.state.commit((transaction) => {
    for (const record of records) transaction.put(record);
  });
}

async function reconnect(node: TestNode, number: number): Promise<HubConnection> {
  node.hub.connections.at(-1)?.cut();
  await node.clock.advance(1_000);
  return await node.hub.connection(number);
}

const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
const openStates = async (node: TestNode): Promise<AttemptState[]> =>
  (await node.state.listOpen()).map(({ state }) => state);

describe("what a node says it holds", () => {
  it("T8: fits into a message however many tombstones there are; what runs is named first, and all are settled", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    first.dispatch({ index: 1 });
    await first.heard("started", 1);
    await put(
      node,
      range(MAX_HELD_IN_HELLO + 4_000).map((index) => recordOf(index, "never_started")),
    );
    const second = await reconnect(node, 2);
    const hello = await second.heard("hello");
    expect(hello.held).toHaveLength(MAX_HELD_IN_HELLO);
    expect(hello.held[0]).toMatchObject({ taskId: taskIdOf(1), state: HeldState.RUNNING });
    await waitUntil(() => node.events.length === 3, "the node online");
    expect(await openStates(node)).toEqual(["started"]);
    const third = await reconnect(node, 3);
    expect((await third.heard("hello")).held).toHaveLength(1);
  });

  it("T8: leaves out no attempt that the hub would take for lost: it is refused when it would have to", () => {
    const nobody = { runner: { find: () => undefined }, bootId: "boot" };
    const recordsOf = (count: number, state: AttemptState) => range(count).map((index) => recordOf(index, state));
    const tombstones = recordsOf(10, "never_started");
    const full = makeHello([...tombstones, ...recordsOf(MAX_HELD_IN_HELLO, "finished")], nobody);
    const held = full.case === "hello" ? (full.value.held ?? []) : [];
    expect(new Set(held.map(({ state }) => state))).toEqual(new Set([HeldState.FINISHED]));
    expect(held).toHaveLength(MAX_HELD_IN_HELLO);
    const tooMany = [...recordsOf(MAX_HELD_IN_HELLO, "finished"), recordOf(99_999, "stored")];
    expect(() => makeHello(tooMany, nobody)).toThrow(/more than 16384 attempts/);
  });

  it("T8: the largest one of all fits, with the longest numbers", () => {
    const held = range(MAX_HELD_IN_HELLO).map((index) => ({
      taskId: recordOf(index, "stored").taskId,
      attempt: 0xffff_ffff,
      state: HeldState.NEVER_STARTED,
      inputOffset: 2n ** 64n - 1n,
    }));
    const frame = create(NodeTaskFrameSchema, {
      seq: 1n,
      epoch: 2n ** 64n - 1n,
      body: { case: "hello", value: { held } },
    });
    expect(toBinary(NodeTaskFrameSchema, frame).byteLength).toBeLessThan(MAX_CONTROL_MESSAGE_BYTES - 1024);
  });

  it("E5: an attempt that was declined is told until the hub says that it knows, and never starts afterwards", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, header: { notAfterMs: 0n } });
    hub.dispatch({ index: 2, header: { notAfterMs: 0n } });
    await hub.heard("declined", 1);
    await hub.heard("declined", 2);
    hub.send({ case: "forget", value: { taskId: taskIdOf(1), attempt: 1 } } as never);
    await settle();
    const second = await reconnect(node, 2);
    expect((await second.heard("hello")).held).toMatchObject([{ taskId: taskIdOf(2), state: HeldState.NEVER_STARTED }]);
    second.dispatch({ index: 1 });
    second.dispatch({ index: 3 });
    await second.heard("started", 3);
    expect(node.probe.starts.has(taskIdOf(1))).toBe(false);
  });

  it("E5: a tombstone that is written after the hello is told in the next one", async () => {
    await using node = await startNode();
    await node.hub.connection(1);
    node.hub.behaviour.welcomes = false;
    const second = await reconnect(node, 2);
    await second.heard("hello");
    await put(node, [recordOf(7, "never_started")]);
    second.send({ case: "welcome", value: { epoch: second.epoch } } as never);
    await waitUntil(() => node.events.length === 3, "the node online");
    node.hub.behaviour.welcomes = true;
    const third = await reconnect(node, 3);
    expect((await third.heard("hello")).held).toMatchObject([{ state: HeldState.NEVER_STARTED }]);
  });
});

/** A link that is given up, as one over gRPC is, when more is queued than it holds; it takes a little each turn. */
function slowLink(link: Link, stats: { mostBytes: number }): Link {
  let bufferedBytes = 0;
  const take = (): void => {
    bufferedBytes = Math.max(0, bufferedBytes - 512 * 1024);
    if (bufferedBytes > 0) setImmediate(take);
  };
  return {
    ...link,
    closed: link.closed,
    get bufferedBytes() {
      return bufferedBytes;
    },
    async drained() {
      while (bufferedBytes > 32 * 1024) await new Promise<void>((resolve) => void setImmediate(resolve));
    },
    send(frame) {
      if (bufferedBytes === 0) setImmediate(take);
      bufferedBytes += frame.byteLength;
      stats.mostBytes = Math.max(stats.mostBytes, bufferedBytes);
      if (bufferedBytes > 8 * 1024 * 1024) link.close(new CortexError("UNAVAILABLE", "the peer does not read"));
      link.send(frame);
    },
  };
}

describe("results that were not acknowledged", () => {
  it("T8: leave as fast as the hub takes them, however large they are together, and once on a connection", async () => {
    await using node = await startNode();
    await node.hub.connection(1);
    const stats = { mostBytes: 0 };
    node.hub.behaviour.wrapTasks = (link) => slowLink(link, stats);
    const valueJson = Buffer.from(JSON.stringify("x".repeat(200 * 1024)));
    const finished = range(200).map((index) => {
      const response = {
        taskId: recordOf(index, "finished").taskId,
        attempt: 1,
        outcome: Outcome.SUCCEEDED,
        valueJson,
      };
      return recordOf(index, "finished", toBinary(TaskResponseSchema, create(TaskResponseSchema, response)));
    });
    await put(node, finished);
    const second = await reconnect(node, 2);
    await waitUntil(() => second.said("response").length === 200, "every result");
    expect(new Set(second.said("response").map(({ taskId }) => taskId)).size).toBe(200);
    expect(stats.mostBytes).toBeLessThan(2 * 1024 * 1024);
    expect(second.isOver).toBe(false);
    await settle(200);
    expect(await openStates(node)).toEqual([]);
  });

  it("T8: one whose acknowledgement got lost is sent again on the next connection, and then no more", async () => {
    await using node = await startNode();
    node.hub.behaviour.acksResponses = false;
    const first = await node.hub.connection(1);
    first.dispatch({ index: 1, skill: "echo", input: { text: "once" } });
    const response = await first.heard("response", 1);
    node.hub.behaviour.acksResponses = true;
    const second = await reconnect(node, 2);
    expect(await second.heard("response", 1)).toEqual(response);
    await settle();
    const third = await reconnect(node, 3);
    expect((await third.heard("hello")).held).toEqual([]);
    await settle();
    expect(third.said("response")).toEqual([]);
  });
});
