import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  createKeyring,
  generateSigningKey,
  type HubId,
  type NodeId,
  PAYLOAD_TYPES,
  signGrant,
  systemClock,
} from "@cortex-mesh/protocol";
import { type SignedGrant, TaskGrantSchema } from "@cortex-mesh/protocol/gen";
import { createInbox, type GrantContext, type HeldPlace } from "../../src/inbox/inbox.js";
import { createMemoryState } from "../../src/state/memory-state.js";

const hubId = "hub_01HZZZZZZZZZZZZZZZZZZZZZZZ" as HubId;
const nodeId = "node_01HZZZZZZZZZZZZZZZZZZZZZZZ" as NodeId;
const sessionId = "ses_01HZZZZZZZZZZZZZZZZZZZZZZZ";
const taskId = "task_01HZZZZZZZZZZZZZZZZZZZZZZZ";
const key = generateSigningKey();
const sessionNonce = new Uint8Array(16);

function grantOf(id: string): SignedGrant {
  const nowMs = BigInt(systemClock.nowMs());
  const header = {
    grantId: new Uint8Array(16),
    hubId,
    nodeId,
    sessionNonce,
    epoch: 1n,
    notBeforeMs: nowMs,
    notAfterMs: nowMs + 60_000n,
  };
  const grant = create(TaskGrantSchema, { header, attempt: 1, task: { taskId: id, sessionId } });
  return signGrant({ payload: toBinary(TaskGrantSchema, grant), payloadType: PAYLOAD_TYPES.taskGrant, key });
}

function openInbox(fields: Partial<GrantContext> = {}) {
  const state = createMemoryState();
  const held: (HeldPlace | "released")[] = [];
  const slots = {
    isDraining: false,
    hold(): HeldPlace {
      held.push("slot");
      return "slot";
    },
    release: () => void held.push("released"),
  };
  const inbox = createInbox({ state, slots, clock: systemClock });
  const expected = { hubId, nodeId, sessionNonce, epoch: 1n };
  const context: GrantContext = {
    keys: createKeyring([key.publicKey]),
    expect: expected,
    isCurrent: () => true,
    ...fields,
  };
  return { state, held, receive: (grant: SignedGrant) => inbox.receive(grant, context) };
}

describe("the inbox", () => {
  it("T8: a grant is durable before its start is asked for, and keeps its slot", async () => {
    const { state, held, receive } = openInbox();
    expect(await receive(grantOf(taskId))).toMatchObject({ kind: "start" });
    expect(await state.listOpen()).toMatchObject([{ taskId, state: "started" }]);
    expect(held).toEqual(["slot"]);
  });

  it("T8: a grant of a connection that ended meanwhile leaves no trace: the next hello may be said already", async () => {
    const { state, held, receive } = openInbox({ isCurrent: () => false });
    expect(await receive(grantOf(taskId))).toEqual({ kind: "ignored" });
    expect(await state.listOpen()).toEqual([]);
    expect(held).toEqual(["slot", "released"]);
  });

  it("I4: a signed grant whose task id is none is refused and not remembered", async () => {
    const { state, receive } = openInbox();
    expect(await receive(grantOf("../../escape"))).toMatchObject({ kind: "refused", error: { code: "GRANT_REFUSED" } });
    expect(await state.listOpen()).toEqual([]);
  });
});
