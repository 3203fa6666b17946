import { describe, expect, it } from "vitest";
import { CortexError, generateSigningKey, isTokenProof } from "@cortex-mesh/protocol";
import { createStreamToken, MAX_NONCE_BYTES, MAX_TOKEN_CHARS } from "../../src/link/stream-token.js";
import { HUB_ID, NODE_ID, taskIdOf } from "../support/scripted-hub.js";
import { startNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";

const nonce = Uint8Array.from({ length: 56 }, (_, at) => at);

describe("the token of an open connection", () => {
  it("I3: the node proves its key over nonce, node, hub and epoch when the hub asks", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.send({ case: "tokenChallenge", value: { nonce } } as never);
    const proof = await hub.heard("tokenProof");
    expect(proof.nonce).toEqual(nonce);
    const fields = { nonce, nodeId: NODE_ID, hubId: HUB_ID, epoch: hub.epoch };
    expect(isTokenProof(node.hub.nodeKey, fields, proof.signature)).toBe(true);
    expect(isTokenProof(node.hub.nodeKey, { ...fields, epoch: 0n }, proof.signature)).toBe(false);
  });

  it("I3: a log stream that is opened later shows the newest token", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.send({ case: "tokenIssued", value: { token: "newer", expiresInMs: 600_000 } } as never);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    await node.probe.runs.get(taskIdOf(1))!.request.write("stdout", Buffer.from("x"));
    await waitUntil(() => node.hub.logTokens.length === 1, "the log stream");
    expect(node.hub.logTokens).toEqual(["newer"]);
    hub.send({ case: "tokenIssued", value: { token: "newest", expiresInMs: 600_000 } } as never);
    await settle();
    hub.closeLogs();
    await node.clock.advance(1_000);
    await node.probe.runs.get(taskIdOf(1))!.request.write("stdout", Buffer.from("y"));
    await waitUntil(() => node.hub.logTokens.length === 2, "the next log stream");
    expect(node.hub.logTokens[1]).toBe("newest");
  });

  it("I3: after its token ran out the node proves its key anew, and its tasks have gone on", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    first.dispatch({ index: 1 });
    await first.heard("started", 1);
    await node.clock.advance(60_000);
    first.cut(new CortexError("UNAUTHENTICATED", "the token was not refreshed in time"));
    await node.clock.advance(2_000);
    const second = await node.hub.connection(2);
    expect(node.hub.tokens).toEqual([0n, 0n]);
    expect((await second.heard("hello")).held).toMatchObject([{ taskId: taskIdOf(1), state: 2 }]);
    expect(node.probe.starts.get(taskIdOf(1))).toBe(1);
    expect(node.events).toEqual(["online", "offline", "online"]);
  });

  it.each([
    ["a nonce without bytes", { case: "tokenChallenge", value: { nonce: new Uint8Array(0) } }],
    ["a nonce of a megabyte", { case: "tokenChallenge", value: { nonce: new Uint8Array(MAX_NONCE_BYTES + 1) } }],
    ["a token that is too long", { case: "tokenIssued", value: { token: "t".repeat(MAX_TOKEN_CHARS + 1) } }],
    ["a token that breaks a header", { case: "tokenIssued", value: { token: "a\r\nb: c" } }],
    ["an empty token", { case: "tokenIssued", value: { token: "" } }],
  ])("I3: %s ends the connection and nothing else", async (_what, body) => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.send(body as never);
    await waitUntil(() => hub.isOver, "the end of the connection");
    await node.clock.advance(2_000);
    const next = await node.hub.connection(2);
    next.dispatch({ index: 1 });
    await next.heard("started", 1);
  });

  it("I3: what is not about the token is left alone", () => {
    const facts = { identity: { nodeId: NODE_ID, hubId: HUB_ID }, key: generateSigningKey() };
    const token = createStreamToken(facts, { epoch: 1n, token: "first" });
    expect(token.receive({ case: "pong", value: { $typeName: "cortex.agent.v1.Pong", id: 1n } })).toBeUndefined();
    expect(token.current()).toBe("first");
  });
});
