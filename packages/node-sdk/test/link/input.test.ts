import { describe, expect, it } from "vitest";
import { Outcome } from "@cortex-mesh/protocol/gen";
import { type HubConnection, taskIdOf } from "../support/scripted-hub.js";
import { startNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";

function sendInput(hub: HubConnection, offset: number, piece: string | { readonly last: string }): void {
  const text = typeof piece === "string" ? piece : piece.last;
  const eof = typeof piece !== "string";
  const value = { taskId: taskIdOf(1), attempt: 1, offset: BigInt(offset), data: Buffer.from(text), eof };
  hub.send({ case: "input", value } as never);
}

describe("standard input", () => {
  it("E8: pieces go in once and in order, a hole is not crossed, and what was taken is acknowledged", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, stdin: true });
    sendInput(hub, 0, "abc");
    await hub.heard("started", 1);
    sendInput(hub, 1, "bcde");
    sendInput(hub, 9, "hole");
    sendInput(hub, 5, { last: "f" });
    const run = node.probe.runs.get(taskIdOf(1))!;
    await waitUntil(() => run.hasInputEnded(), "the end of input");
    await waitUntil(() => hub.said("inputAck", 1).at(-1)?.closed === true, "the last acknowledgement");
    expect(run.input()).toBe("abcdef");
    expect(hub.said("inputAck", 1).at(-1)).toMatchObject({ offset: 6n, closed: true });
  });

  it("T5: input that the task does not take is held within a bound, and the offset taken survives a reconnect", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, stdin: true });
    await hub.heard("started", 1);
    const run = node.probe.runs.get(taskIdOf(1))!;
    sendInput(hub, 0, "ab");
    await waitUntil(() => run.input() === "ab", "the first piece");
    run.takesInput = false;
    sendInput(hub, 2, "c".repeat(200_000));
    sendInput(hub, 200_002, "d".repeat(200_000));
    await settle();
    hub.cut();
    await node.clock.advance(1_000);
    const second = await node.hub.connection(2);
    expect((await second.heard("hello")).held[0]?.inputOffset).toBe(2n);
    run.takesInput = true;
    run.releaseInput();
    await waitUntil(() => run.input().length === 200_002, "what was held");
    sendInput(second, 200_002, "e");
    await waitUntil(() => run.input().endsWith("ce"), "the next piece");
  });

  it("E8: a process reads its input and its end; one without input reads the end at once", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, skill: "shell", input: { argv: ["cat"] }, stdin: true });
    hub.dispatch({ index: 2, skill: "shell", input: { argv: ["cat"] } });
    expect(await hub.heard("response", 2)).toMatchObject({ outcome: Outcome.SUCCEEDED, lastLogSeq: 0n });
    await hub.heard("started", 1);
    sendInput(hub, 0, { last: "through the pipe" });
    expect(await hub.heard("response", 1)).toMatchObject({ outcome: Outcome.SUCCEEDED });
    await waitUntil(() => node.hub.output(1).text === "through the pipe", "the output");
  });
});
