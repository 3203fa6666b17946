import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { describe, expect, it } from "vitest";
import {
  CancelGrantSchema,
  Effect,
  GrantHeaderSchema,
  TaskGrantSchema,
  TaskRequestSchema,
} from "../../src/gen/cortex/agent/v1/agent_pb.js";
import type { HubId, NodeId } from "../../src/ids.js";
import { generateSigningKey, signingKeyFromSeed } from "../../src/signing/ed25519.js";
import { signGrant } from "../../src/signing/grant.js";
import { createKeyring } from "../../src/signing/keyring.js";
import { type GrantExpectation, openCancelGrant, openTaskGrant } from "../../src/signing/open-grant.js";
import { PAYLOAD_TYPES, type PayloadType } from "../../src/signing/payload-types.js";
import { isEnrollmentProof, isTokenProof, signEnrollmentProof, signTokenProof } from "../../src/signing/proofs.js";
import { catchCortexError } from "./catch-cortex-error.js";
import { readVectors } from "./read-vectors.js";

const vectors = readVectors();
const [first, second] = vectors.keys.map((entry) => signingKeyFromSeed(Buffer.from(entry.seedHex, "hex")));
const keys = createKeyring([first!.publicKey]);
const expectation: GrantExpectation = {
  hubId: vectors.expect.hubId as HubId,
  nodeId: vectors.expect.nodeId as NodeId,
  sessionNonce: Buffer.from(vectors.expect.sessionNonceHex, "hex"),
  epoch: BigInt(vectors.expect.epoch),
  nowMs: vectors.expect.nowMs,
};
const HEADER: MessageInitShape<typeof GrantHeaderSchema> = {
  grantId: Buffer.alloc(16, 1),
  hubId: expectation.hubId,
  nodeId: expectation.nodeId,
  sessionNonce: expectation.sessionNonce,
  epoch: expectation.epoch,
  notBeforeMs: 1_800_000_000_000n,
  notAfterMs: 1_800_000_300_000n,
};
const TASK: MessageInitShape<typeof TaskRequestSchema> = {
  taskId: "task_01J0000000000000000000000C",
  sessionId: "ses_01J0000000000000000000000D",
  effect: Effect.ONCE,
};

/** Any number of unknown fields at the end of a message. */
function withUnknownField(message: Uint8Array): Uint8Array {
  return Buffer.concat([message, new BinaryWriter().tag(200, WireType.Varint).uint32(1).finish()]);
}

/** A message that holds `inner` in field `number`. */
function holding(number: number, inner: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(inner).finish();
}

function sign(payload: Uint8Array, payloadType: PayloadType = PAYLOAD_TYPES.taskGrant) {
  return signGrant({ payload, payloadType, key: first! });
}

function taskGrant(over: MessageInitShape<typeof TaskGrantSchema> = {}): Uint8Array {
  const init = { header: HEADER, attempt: 1, task: TASK, ...over } as MessageInitShape<typeof TaskGrantSchema>;
  return toBinary(TaskGrantSchema, create(TaskGrantSchema, init));
}

function reasonOf(payload: Uint8Array, expect: Partial<GrantExpectation> = {}): unknown {
  const error = catchCortexError(() =>
    openTaskGrant({ grant: sign(payload), keys, expect: { ...expectation, ...expect } }),
  );
  return error === undefined ? "opened" : `${error.code} ${error.details["reason"]}`;
}

describe("openTaskGrant", () => {
  it("I4: the committed task grant opens with everything in it", () => {
    const vector = vectors.signed.find((entry) => entry.name === "task")!;
    const opened = openTaskGrant({ grant: sign(Buffer.from(vector.payloadHex, "hex")), keys, expect: expectation });
    expect(opened).toMatchObject({
      grantId: "a1".repeat(16),
      taskId: "task_01J0000000000000000000000C",
      attempt: 1,
      ownerId: "alice",
      task: { capabilityRequired: "shell", effect: Effect.ONCE, timeoutMs: 60_000n },
    });
  });

  it.each<[string, Partial<GrantExpectation>]>([
    ["hub", { hubId: "hub_01J0000000000000000000000Z" as HubId }],
    ["node", { nodeId: "node_01J0000000000000000000000Z" as NodeId }],
    ["nonce", { sessionNonce: Buffer.alloc(16, 9) }],
    ["nonce", { sessionNonce: Buffer.alloc(0) }],
    ["epoch", { epoch: 6n }],
    ["epoch", { epoch: 8n }],
    ["policy", { policySha256: Buffer.alloc(32, 7) }],
  ])("I4: a grant for another %s is refused by name", (reason, expect_) => {
    expect(reasonOf(taskGrant(), expect_)).toBe(`GRANT_REFUSED ${reason}`);
  });

  it("I4: a grant holds from not_before to not_after, with the leeway on both ends", () => {
    const at = (nowMs: number, leewayMs?: number) =>
      reasonOf(taskGrant(), { nowMs, ...(leewayMs === undefined ? {} : { leewayMs }) });
    expect(at(1_800_000_000_000 - 60_000)).toBe("opened");
    expect(at(1_800_000_000_000 - 60_001)).toBe("GRANT_REFUSED not_yet_valid");
    expect(at(1_800_000_300_000 + 60_000)).toBe("opened");
    expect(at(1_800_000_300_000 + 60_001)).toBe("GRANT_REFUSED expired");
    expect(at(1_800_000_300_000 + 1, 0)).toBe("GRANT_REFUSED expired");
  });

  it.each<[string, MessageInitShape<typeof TaskGrantSchema>]>([
    ["header", { header: { ...HEADER, grantId: Buffer.alloc(15) } }],
    ["critical", { header: { ...HEADER, critical: ["two-person-rule"] } }],
    ["attempt", { attempt: 0 }],
    ["task", { task: { ...TASK, taskId: "../../etc" } }],
    ["task", { task: { ...TASK, sessionId: ".." } }],
  ])("I4: a grant with a bad %s is refused by name", (reason, over) => {
    expect(reasonOf(taskGrant(over))).toBe(`GRANT_REFUSED ${reason}`);
  });

  it("I4: a grant without header or task is refused", () => {
    expect(reasonOf(toBinary(TaskGrantSchema, create(TaskGrantSchema, { attempt: 1, task: TASK })))).toBe(
      "GRANT_REFUSED header",
    );
    expect(reasonOf(toBinary(TaskGrantSchema, create(TaskGrantSchema, { attempt: 1, header: HEADER })))).toBe(
      "GRANT_REFUSED task",
    );
  });

  it("I4: a field that this version does not know makes a grant invalid, at any depth", () => {
    const header = toBinary(GrantHeaderSchema, create(GrantHeaderSchema, HEADER));
    const task = toBinary(TaskRequestSchema, create(TaskRequestSchema, TASK));
    const sandbox = holding(13, holding(2, holding(2, withUnknownField(new Uint8Array()))));
    const payloads = [
      withUnknownField(taskGrant()),
      Buffer.concat([taskGrant({ header: undefined }), holding(1, withUnknownField(header))]),
      Buffer.concat([taskGrant({ task: undefined }), holding(3, withUnknownField(task))]),
      Buffer.concat([taskGrant({ task: undefined }), holding(3, Buffer.concat([task, sandbox]))]),
    ];
    for (const payload of payloads) expect(reasonOf(payload)).toBe("GRANT_REFUSED unknown_field");
  });

  it("I4: an enum value that this version does not know makes a grant invalid", () => {
    expect(reasonOf(taskGrant({ task: { ...TASK, effect: 9 as Effect } }))).toBe("GRANT_REFUSED unknown_field");
  });

  it("I4: the signature is looked at before the payload", () => {
    const garbage = Buffer.from("ffffffffffff", "hex");
    expect(reasonOf(garbage)).toBe("GRANT_REFUSED payload");
    const grant = signGrant({ payload: garbage, payloadType: PAYLOAD_TYPES.taskGrant, key: generateSigningKey() });
    const error = catchCortexError(() => openTaskGrant({ grant, keys, expect: expectation }));
    expect(error?.details["reason"]).toBe("signature");
  });
});

describe("openCancelGrant", () => {
  const payload = (over: { readonly attempt?: number; readonly taskId?: string; readonly reason?: string } = {}) =>
    toBinary(
      CancelGrantSchema,
      create(CancelGrantSchema, { header: HEADER, taskId: TASK.taskId!, attempt: 2, ...over }),
    );
  const open = (bytes: Uint8Array, payloadType: PayloadType = PAYLOAD_TYPES.cancelGrant) =>
    openCancelGrant({ grant: sign(bytes, payloadType), keys, expect: expectation });

  it("I4: a cancel names task and attempt", () => {
    expect(open(payload({ reason: "user" }))).toMatchObject({ taskId: TASK.taskId, attempt: 2, reason: "user" });
  });

  it("I4: a task grant is no cancel, and a cancel is no task grant", () => {
    expect(catchCortexError(() => open(payload(), PAYLOAD_TYPES.taskGrant))?.details["reason"]).toBe("type");
    const grant = sign(payload(), PAYLOAD_TYPES.cancelGrant);
    expect(catchCortexError(() => openTaskGrant({ grant, keys, expect: expectation }))?.details["reason"]).toBe("type");
  });

  it("I4: a cancel without an attempt, or with a task id that is none, is refused", () => {
    expect(catchCortexError(() => open(payload({ attempt: 0 })))?.details["reason"]).toBe("attempt");
    expect(catchCortexError(() => open(payload({ taskId: "x" })))?.details["reason"]).toBe("task");
  });
});

describe("proofs of a node", () => {
  const enrolment = {
    challenge: Buffer.alloc(56, 0xe5),
    inviteId: "inv_01J0000000000000000000000E",
    publicKey: second!.publicKey,
    hubId: expectation.hubId,
  };
  const token = { nonce: Buffer.alloc(56, 0xf6), nodeId: expectation.nodeId, hubId: expectation.hubId, epoch: 0n };
  const goldenOf = (name: string) => vectors.signed.find((entry) => entry.name === name)!.signatureHex;

  it("I2: both proofs have the committed bytes", () => {
    expect(Buffer.from(signEnrollmentProof(second!, enrolment)).toString("hex")).toBe(goldenOf("enrollment"));
    expect(Buffer.from(signTokenProof(second!, token)).toString("hex")).toBe(goldenOf("token"));
  });

  it("I2: a proof holds for no other challenge, invite, key, hub, node or epoch", () => {
    const enrolled = signEnrollmentProof(second!, enrolment);
    expect(isEnrollmentProof(second!, enrolment, enrolled)).toBe(true);
    for (const over of [
      { challenge: Buffer.alloc(56) },
      { inviteId: "inv_x" },
      { publicKey: first!.publicKey },
      { hubId: "hub_x" },
    ]) {
      expect(isEnrollmentProof(second!, { ...enrolment, ...over }, enrolled)).toBe(false);
    }
    const proven = signTokenProof(second!, token);
    expect(isTokenProof(second!, token, proven)).toBe(true);
    for (const over of [{ nonce: Buffer.alloc(56) }, { nodeId: "node_x" }, { hubId: "hub_x" }, { epoch: 1n }]) {
      expect(isTokenProof(second!, { ...token, ...over }, proven)).toBe(false);
    }
  });
});
