import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  decodeInvite,
  generateSigningKey,
  type SigningKey,
  signEnrollmentProof,
  systemIds,
} from "@cortex-mesh/protocol";
import {
  BeginEnrollmentRequestSchema,
  type FinishEnrollmentRequest,
  FinishEnrollmentRequestSchema,
} from "@cortex-mesh/protocol/gen";
import { systemScope } from "../../src/access/scope.js";
import { createEnrolment, REPEAT_WINDOW_MS, type SuspiciousEnrolment } from "../../src/nodes/enrolment.js";
import { inviteStatus } from "../../src/nodes/invite-status.js";
import { MAX_INVITE_TRIES } from "../../src/nodes/invites.js";
import { NONCE_TTL_MS } from "../../src/nodes/nonces.js";
import type { NodeRecord } from "../../src/store/records.js";
import { alice, openIdentity, refusalOf } from "./open-identity.js";

async function setUp() {
  const identity = await openIdentity();
  const enrolled: NodeRecord[] = [];
  const reports: SuspiciousEnrolment[] = [];
  const enrolment = createEnrolment({
    ...identity,
    ids: systemIds,
    caPem: "the CA",
    onEnrolled: (node) => enrolled.push(node),
    onSuspicious: (event) => reports.push(event),
  });
  const { record, invite } = await identity.invites.create(alice, {
    name: undefined,
    ttlSeconds: undefined,
    labels: { a: "b" },
  });

  /** What an honest node sends; `over` bends it, and `signer` signs in place of the key. */
  const requestOf = (key: SigningKey, over: Partial<FinishEnrollmentRequest> = {}, signer = key) => {
    const { inviteId, secret } = decodeInvite(invite);
    const begun = enrolment.begin(create(BeginEnrollmentRequestSchema, { inviteId, publicKey: key.publicKey }));
    const request = create(FinishEnrollmentRequestSchema, {
      inviteId,
      publicKey: key.publicKey,
      challenge: begun.challenge,
      secret,
      nodeName: "box",
      version: "0.1.0",
    });
    Object.assign(request, over);
    const { challenge, inviteId: named, publicKey } = request;
    if (over.signature === undefined) {
      request.signature = signEnrollmentProof(signer, { challenge, inviteId: named, publicKey, hubId: begun.hubId });
    }
    return request;
  };
  const inviteNow = async () => (await identity.store.invites.get(systemScope, record.inviteId))!;
  const nodes = () => identity.store.nodes.list(systemScope, { limit: 100 });
  return { ...identity, enrolment, record, requestOf, inviteNow, nodes, enrolled, reports };
}

describe("enrolment", () => {
  it("I1: an invite makes a node of its owner, once, with the hub's keys in the answer", async () => {
    const { enrolment, requestOf, authority, inviteNow, nodes, enrolled, store } = await setUp();
    const key = generateSigningKey();
    const answer = await enrolment.finish(requestOf(key));
    const [node] = await nodes();
    expect(answer).toMatchObject({
      nodeId: node?.nodeId,
      hubId: authority.hubId,
      ownerId: "alice",
      nodeName: "box",
      caPem: "the CA",
      pending: false,
    });
    expect(answer.grantKeys.map((entry) => entry.keyId)).toEqual([authority.grantKey.keyId]);
    expect(node).toMatchObject({
      ownerId: "alice",
      epoch: 0,
      labels: { a: "b" },
      publicKey: Buffer.from(key.publicKey).toString("hex"),
    });
    expect(await inviteNow()).toMatchObject({ nodeId: node?.nodeId, usedByKey: node?.publicKey });
    expect(enrolled).toEqual([node]);
    expect((await store.feed.read(alice.userId, { afterSeq: 0, limit: 10 })).map((event) => event.kind)).toEqual([
      "node.enrolled",
    ]);
  });

  it("I1: of six nodes that redeem one invite at once, exactly one gets in", async () => {
    const { enrolment, requestOf, nodes, reports } = await setUp();
    const tries = await Promise.all(
      Array.from({ length: 6 }, () => refusalOf(enrolment.finish(requestOf(generateSigningKey())))),
    );
    expect(tries.filter((refusal) => refusal === undefined)).toHaveLength(1);
    expect(tries.filter((refusal) => refusal?.code === "INVITE_REFUSED")).toHaveLength(5);
    expect(await nodes()).toHaveLength(1);
    expect(reports).toHaveLength(5);
  });

  it("I1: the same key gets the same answer for ten minutes, and not after", async () => {
    const { enrolment, requestOf, nodes, clock, enrolled, reports } = await setUp();
    const key = generateSigningKey();
    const first = await enrolment.finish(requestOf(key));
    clock.advance(REPEAT_WINDOW_MS);
    expect(await enrolment.finish(requestOf(key))).toEqual(first);
    clock.advance(1);
    expect((await refusalOf(enrolment.finish(requestOf(key))))?.code).toBe("INVITE_REFUSED");
    expect(await nodes()).toHaveLength(1);
    expect([enrolled.length, reports.length]).toEqual([1, 0]);
  });

  it("I1: another key with the right secret of a spent invite is refused and reported", async () => {
    const { enrolment, requestOf, nodes, reports, record } = await setUp();
    await enrolment.finish(requestOf(generateSigningKey()));
    const thief = generateSigningKey();
    expect((await refusalOf(enrolment.finish(requestOf(thief))))?.code).toBe("INVITE_REFUSED");
    const [node] = await nodes();
    expect(reports).toEqual([
      { inviteId: record.inviteId, ownerId: "alice", nodeId: node?.nodeId, keyId: thief.keyId },
    ]);
  });

  it("I1: five wrong secrets withdraw an invite, four do not", async () => {
    const { enrolment, requestOf, inviteNow, nodes, clock } = await setUp();
    const wrong = () => refusalOf(enrolment.finish(requestOf(generateSigningKey(), { secret: new Uint8Array(32) })));
    for (let count = 1; count < MAX_INVITE_TRIES; count += 1) await wrong();
    expect(inviteStatus(await inviteNow(), clock.nowMs())).toBe("open");
    await wrong();
    expect(inviteStatus(await inviteNow(), clock.nowMs())).toBe("revoked");
    expect((await refusalOf(enrolment.finish(requestOf(generateSigningKey()))))?.code).toBe("INVITE_REFUSED");
    expect(await nodes()).toEqual([]);
  });

  it("I1: an unknown invite and a wrong secret get the same answer", async () => {
    const { enrolment, requestOf } = await setUp();
    const wrong = await refusalOf(enrolment.finish(requestOf(generateSigningKey(), { secret: new Uint8Array(32) })));
    for (const inviteId of [systemIds.next("inv"), "nonsense"]) {
      const key = generateSigningKey();
      const { challenge } = enrolment.begin(
        create(BeginEnrollmentRequestSchema, { inviteId, publicKey: key.publicKey }),
      );
      expect(await refusalOf(enrolment.finish(requestOf(key, { inviteId, challenge })))).toEqual(wrong);
    }
  });

  it("I1: an expired and a withdrawn invite are refused", async () => {
    const expired = await setUp();
    expired.clock.advance(15 * 60_000);
    expect((await refusalOf(expired.enrolment.finish(expired.requestOf(generateSigningKey()))))?.message).toContain(
      "expired",
    );
    const revoked = await setUp();
    await revoked.invites.revoke(alice, revoked.record.inviteId);
    expect((await refusalOf(revoked.enrolment.finish(revoked.requestOf(generateSigningKey()))))?.message).toContain(
      "withdrawn",
    );
    expect([...(await expired.nodes()), ...(await revoked.nodes())]).toEqual([]);
  });

  it("I2: a challenge holds only for its key, its invite and one minute", async () => {
    const { enrolment, requestOf, clock, inviteNow, nodes } = await setUp();
    const key = generateSigningKey();
    const challenge = requestOf(key).challenge;
    const refusals = [
      await refusalOf(enrolment.finish(requestOf(generateSigningKey(), { challenge }))),
      await refusalOf(enrolment.finish(requestOf(key, { challenge, inviteId: systemIds.next("inv") }))),
      await refusalOf(enrolment.finish(requestOf(key, { challenge: new Uint8Array(0) }))),
      await refusalOf(enrolment.finish(requestOf(key, { challenge: Buffer.from(challenge).fill(1, 0, 8) }))),
    ];
    clock.advance(NONCE_TTL_MS + 1);
    refusals.push(await refusalOf(enrolment.finish(requestOf(key, { challenge }))));
    for (const refusal of refusals)
      expect(refusal).toMatchObject({ code: "INVITE_REFUSED", message: expect.stringContaining("challenge") });
    expect([(await inviteNow()).failedTries, (await nodes()).length]).toEqual([0, 0]);
  });

  it("I2: a challenge signed by another key is refused before anything is written", async () => {
    const { enrolment, requestOf, inviteNow, nodes } = await setUp();
    const before = await inviteNow();
    const refusal = await refusalOf(enrolment.finish(requestOf(generateSigningKey(), {}, generateSigningKey())));
    expect(refusal).toMatchObject({ code: "INVITE_REFUSED", message: expect.stringContaining("signed") });
    expect(await inviteNow()).toEqual(before);
    expect(await nodes()).toEqual([]);
  });

  it("I2: a small-order or malformed key gets no challenge", async () => {
    const { enrolment } = await setUp();
    for (const publicKey of [new Uint8Array(32), new Uint8Array(31)]) {
      const request = create(BeginEnrollmentRequestSchema, { inviteId: "x", publicKey });
      expect(await refusalOf((async () => enrolment.begin(request))())).toMatchObject({ code: "INVITE_REFUSED" });
    }
  });

  it("I3: a node that was revoked does not come back by repeating its enrolment", async () => {
    const { enrolment, requestOf, nodes, store } = await setUp();
    const key = generateSigningKey();
    await enrolment.finish(requestOf(key));
    const [node] = await nodes();
    await store.transaction((tx) => tx.nodes.update({ ...node!, revision: node!.revision + 1, revokedAtMs: 1 }));
    expect((await refusalOf(enrolment.finish(requestOf(key))))?.code).toBe("NODE_REVOKED");
  });

  it("I1: the owner's name for a node outweighs its own, and a garbled one is refused", async () => {
    const { enrolment, requestOf, invites, nodes } = await setUp();
    expect((await refusalOf(enrolment.finish(requestOf(generateSigningKey(), { nodeName: "a\u0007" }))))?.code).toBe(
      "BAD_NAME",
    );
    expect(await nodes()).toEqual([]);
    const named = await invites.create(alice, { name: "chosen", ttlSeconds: 60, labels: undefined });
    const { inviteId, secret } = decodeInvite(named.invite);
    const key = generateSigningKey();
    const { challenge } = enrolment.begin(create(BeginEnrollmentRequestSchema, { inviteId, publicKey: key.publicKey }));
    expect((await enrolment.finish(requestOf(key, { inviteId, secret, challenge }))).nodeName).toBe("chosen");
  });
});
