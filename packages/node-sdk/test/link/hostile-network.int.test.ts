import { describe, expect, it } from "vitest";
import { CortexError, decodeInvite, encodeInvite, sha256 } from "@cortex-mesh/protocol";
import { openGrpcEnrolment } from "../../src/link/grpc-transport.js";
import { taskIdOf } from "../support/scripted-hub.js";
import { hubCertificates, serveScripted, startGrpcNode } from "../support/serve-scripted.js";
import { waitUntil } from "../support/wait-until.js";

/** An address where nobody listens. */
const NOWHERE = "127.0.0.1:9";

/** A node that dials a scripted hub over the network. */
async function startPair() {
  const certificates = await hubCertificates();
  let address = NOWHERE;
  const node = await startGrpcNode(certificates.caPem, () => address);
  const served = await serveScripted(node.hub, certificates);
  address = served.address;
  return { node, served, certificates, leadTo: (to: string) => (address = to) };
}

const online = (events: readonly string[], times: number): Promise<unknown> =>
  waitUntil(() => events.filter((event) => event === "online").length >= times, `online ${times} times`);

describe("a node over the network", () => {
  it("I3: that is revoked hears it on its stream, ends with that error and does not come back", async () => {
    const { node, served } = await startPair();
    await using _node = node;
    await online(node.events, 1);
    const hub = await node.hub.connection(1);
    hub.cut(new CortexError("NODE_REVOKED", "the node was revoked by its owner"));
    expect((await node.core.ended)?.code).toBe("NODE_REVOKED");
    const calls = served.calls.length;
    await expect.poll(() => node.events.at(-1)).toBe("offline");
    expect(served.calls).toHaveLength(calls);
    expect(node.hub.connections).toHaveLength(1);
  });

  it("I3: whose token ran out proves its key anew, and its task has gone on", async () => {
    const { node } = await startPair();
    await using _node = node;
    await online(node.events, 1);
    const first = await node.hub.connection(1);
    first.dispatch({ index: 1 });
    await first.heard("started", 1);
    first.cut(new CortexError("UNAUTHENTICATED", "the token was not refreshed in time"));
    await online(node.events, 2);
    const second = await node.hub.connection(2);
    expect((await second.heard("hello")).held).toMatchObject([{ taskId: taskIdOf(1) }]);
    expect(node.probe.starts.get(taskIdOf(1))).toBe(1);
  });

  it("I5: shows nothing to a hub of another authority at its hub's address, and waits for its own", async () => {
    const { node, served, leadTo, certificates } = await startPair();
    await using _node = node;
    await online(node.events, 1);
    const impostor = await serveScripted(node.hub, await hubCertificates());
    leadTo(impostor.address);
    served.server.forceClose();
    await waitUntil(() => node.events.filter((event) => event.startsWith("connectFailed")).length >= 2, "two refusals");
    expect(impostor.calls).toEqual([]);
    const again = await serveScripted(node.hub, certificates);
    leadTo(again.address);
    await online(node.events, 2);
  });

  it("I5: spends no invite at a hub of another authority than the invite's", async () => {
    const { node, served, certificates } = await startPair();
    await using _node = node;
    const impostor = await serveScripted(node.hub, await hubCertificates());
    const invite = (address: string) =>
      decodeInvite(
        encodeInvite({
          address,
          caFingerprint: Buffer.from(certificates.caFingerprint).toString("hex"),
          inviteId: "inv_01JD0000000000000000000000" as never,
          secret: sha256("secret"),
        }),
      );
    await expect(openGrpcEnrolment(invite(impostor.address))).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    expect(impostor.calls).toEqual([]);
    const { transport } = await openGrpcEnrolment(invite(served.address));
    await transport.begin({ inviteId: "inv_01JD0000000000000000000000" });
    transport.close();
    expect(served.calls).toContain("beginEnrollment");
  });

  it("T2: survives bytes that are no frames on each of its streams, and takes tasks afterwards", async () => {
    const { node } = await startPair();
    await using _node = node;
    const junk = new Uint8Array(64).fill(0xff);
    for (const [number, stream] of (["tasks", "health"] as const).entries()) {
      await online(node.events, number + 1);
      const hub = await node.hub.connection(number + 1);
      hub.sendRaw(stream, junk);
      await waitUntil(() => hub.isOver, "the end of the connection");
    }
    await online(node.events, 3);
    const hub = await node.hub.connection(3);
    hub.dispatch({ index: 1, skill: "shell", input: { command: "echo fine" } });
    await hub.heard("response", 1);
    await waitUntil(() => node.hub.output(1).text === "fine\n", "its output");
  });
});
