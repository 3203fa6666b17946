import { describe, expect, it } from "vitest";
import {
  decodeInvite,
  encodeInvite,
  generateSigningKey,
  INVITE_SECRET_BYTES,
  signEnrollmentProof,
} from "@cortex-mesh/protocol";
import { Enrollment } from "@cortex-mesh/protocol/gen";
import { assertServes, codeOf, openTo, redeem } from "../support/grpc-peer.js";
import { startGrpcHub } from "../support/start-grpc-hub.js";

const A_DAY_MS = 24 * 60 * 60_000;

describe("an invite over the network", () => {
  it("I1: six machines that redeem one at the same moment are one node, and five are told why not", async () => {
    const hub = await startGrpcHub();
    const invite = await hub.invite();
    const channels = await Promise.all(Array.from({ length: 6 }, () => openTo(hub, invite)));
    const codes = await Promise.all(channels.map((channel) => codeOf(redeem(channel, invite, generateSigningKey()))));
    expect(codes.filter((code) => code === undefined)).toHaveLength(1);
    expect(codes.filter((code) => code === "INVITE_REFUSED")).toHaveLength(5);
    expect((await hub.alice.listNodes({})).items).toHaveLength(1);
    await assertServes(hub);
  });

  it("I1: one that is spent, withdrawn, expired or has another secret gets no node in", async () => {
    const hub = await startGrpcHub();
    const spent = await hub.invite();
    const channel = await openTo(hub, spent);
    await redeem(channel, spent, generateSigningKey());
    const guessed = encodeInvite({ ...decodeInvite(await hub.invite()), secret: new Uint8Array(INVITE_SECRET_BYTES) });
    const late = await hub.invite();
    const withdrawn = await hub.invite();
    await hub.alice.revokeInvite({ inviteId: decodeInvite(withdrawn).inviteId });
    for (const invite of [spent, guessed, withdrawn]) {
      expect(await codeOf(redeem(channel, invite, generateSigningKey()))).toBe("INVITE_REFUSED");
    }
    hub.skip(A_DAY_MS);
    await expect(redeem(channel, late, generateSigningKey())).rejects.toThrow(/expired; make a new one/);
    hub.skip(-A_DAY_MS);
    expect((await hub.alice.listNodes({})).items).toHaveLength(1);
    await assertServes(hub);
  });

  it("I5: one whose address leads to another hub is not shown to it, and stays good", async () => {
    const [own, other] = [await startGrpcHub(), await startGrpcHub()];
    const invite = await own.invite();
    const led = encodeInvite({ ...decodeInvite(invite), address: other.hub.grpcAddress });
    await expect(openTo(own, led)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    expect(await codeOf(redeem(await openTo(own, invite), invite, generateSigningKey()))).toBeUndefined();
  });

  it("I2: a challenge that is signed by another key, or for another hub, gets no node in", async () => {
    const hub = await startGrpcHub();
    const invite = await hub.invite();
    const { inviteId, secret } = decodeInvite(invite);
    const key = generateSigningKey();
    const { publicKey } = key;
    const calls = (await openTo(hub, invite)).client(Enrollment);
    const { challenge, hubId } = await calls.beginEnrollment({ inviteId, publicKey });
    const proofs = [
      signEnrollmentProof(generateSigningKey(), { challenge, inviteId, publicKey, hubId }),
      signEnrollmentProof(key, { challenge, inviteId, publicKey, hubId: "hub_01JD0000000000000000000000" }),
      new Uint8Array(64),
      new Uint8Array(0),
    ];
    for (const signature of proofs) {
      const request = { inviteId, publicKey, challenge, secret, signature };
      expect(await codeOf(calls.finishEnrollment(request))).toBe("INVITE_REFUSED");
    }
    const signature = signEnrollmentProof(key, { challenge, inviteId, publicKey, hubId });
    await calls.finishEnrollment({ inviteId, publicKey, challenge, secret, signature });
  });
});
