import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { PAYLOAD_TYPES, signGrant } from "@cortex-mesh/protocol";
import { CancelGrantSchema, type SignedGrant } from "@cortex-mesh/protocol/gen";
import { HUB_ID, type HubConnection, NODE_ID, taskIdOf } from "../support/scripted-hub.js";
import { startNode, type TestNode } from "../support/start-node.js";
import { settle } from "../support/wait-until.js";

/** Field 99, a varint: nothing that this version knows. */
const UNKNOWN_FIELD = Uint8Array.of(0x98, 0x06, 0x01);

function resign(node: TestNode, payload: Uint8Array, payloadType: string): SignedGrant {
  return signGrant({ payload, payloadType: payloadType as never, key: node.hub.hubKey });
}

function cancelPayload(node: TestNode, hub: HubConnection): Uint8Array {
  const header = {
    grantId: new Uint8Array(16).fill(3),
    hubId: HUB_ID,
    nodeId: NODE_ID,
    sessionNonce: Uint8Array.from({ length: 16 }, (_, at) => at + 1),
    epoch: hub.epoch,
    notBeforeMs: 0n,
    notAfterMs: BigInt(node.clock.nowMs() + 60_000),
  };
  return toBinary(CancelGrantSchema, create(CancelGrantSchema, { header, taskId: taskIdOf(1), attempt: 1 }));
}

type Attack = (node: TestNode, hub: HubConnection) => SignedGrant;

const attacks: readonly (readonly [string, string, Attack])[] = [
  [
    "a task grant that is labelled a cancel",
    "signature",
    (_node, hub) => ({ ...hub.grant({ index: 1 }), payloadType: PAYLOAD_TYPES.cancelGrant }),
  ],
  [
    "a cancel that is labelled a task grant",
    "signature",
    (node, hub) => ({
      ...resign(node, cancelPayload(node, hub), PAYLOAD_TYPES.cancelGrant),
      payloadType: PAYLOAD_TYPES.taskGrant,
    }),
  ],
  [
    "a cancel that the hub signed as a task grant",
    "payload",
    (node, hub) => resign(node, cancelPayload(node, hub), PAYLOAD_TYPES.taskGrant),
  ],
  [
    "a proof of an enrolment in place of a grant",
    "undefined",
    (node, hub) => resign(node, hub.grant({ index: 1 }).payload, PAYLOAD_TYPES.enrollmentProof),
  ],
  ["a type that nobody knows", "undefined", (node, hub) => resign(node, hub.grant({ index: 1 }).payload, "text/plain")],
  [
    "bytes that are no grant",
    "payload",
    (node) => resign(node, Uint8Array.of(0xff, 0xff, 0xff), PAYLOAD_TYPES.taskGrant),
  ],
  ["nothing at all", "header", (node) => resign(node, new Uint8Array(0), PAYLOAD_TYPES.taskGrant)],
  ["no signature", "signature", (_node, hub) => ({ ...hub.grant({ index: 1 }), signatures: [] })],
  [
    "five signatures",
    "size",
    (_node, hub) => {
      const grant = hub.grant({ index: 1 });
      return { ...grant, signatures: Array.from({ length: 5 }, () => grant.signatures[0]!) };
    },
  ],
];

describe("a hub that lies in its grants", () => {
  it.each(attacks)("I4: %s is refused (%s), starts nothing, and the node goes on", async (_what, reason, attack) => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.sendGrant(attack(node, hub));
    hub.dispatch({ index: 2 });
    await hub.heard("started", 2);
    expect(node.refused.map(({ code, details }) => [code, String(details["reason"])])).toEqual([
      ["GRANT_REFUSED", reason],
    ]);
    expect(node.probe.starts.has(taskIdOf(1))).toBe(false);
    expect(hub.isOver).toBe(false);
  });

  it("I4: a grant with a field that this version does not know is declined for good, and its attempt never starts", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    const { payload } = hub.grant({ index: 1 });
    hub.sendGrant(resign(node, Buffer.concat([payload, UNKNOWN_FIELD]), PAYLOAD_TYPES.taskGrant));
    expect(await hub.heard("declined", 1)).toMatchObject({ errorCode: "GRANT_REFUSED", final: true });
    hub.dispatch({ index: 1 });
    hub.dispatch({ index: 2 });
    await hub.heard("started", 2);
    expect(node.probe.starts.has(taskIdOf(1))).toBe(false);
  });

  it("I4: a grant that is sent again starts nothing twice, on its connection and on the next", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    const grant = hub.grant({ index: 1, skill: "echo", input: { text: "once" } });
    hub.sendGrant(grant);
    hub.sendGrant(grant);
    await hub.heard("response", 1);
    hub.sendGrant(grant);
    const other = hub.grant({ index: 2 });
    hub.cut();
    await node.clock.advance(1_000);
    const next = await node.hub.connection(2);
    for (const old of [grant, other]) next.sendGrant(old);
    next.dispatch({ index: 3 });
    await next.heard("started", 3);
    await settle();
    expect(hub.said("started", 1)).toHaveLength(1);
    expect(next.said("started").map(({ taskId }) => taskId)).toEqual([taskIdOf(3)]);
    expect(node.refused.map(({ details }) => details["reason"])).toEqual(["epoch", "epoch"]);
  });
});
