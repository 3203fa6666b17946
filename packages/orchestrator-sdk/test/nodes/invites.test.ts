import { describe, expect, it } from "vitest";
import { decodeInvite, systemIds } from "@cortex-mesh/protocol";
import { inviteStatus } from "../../src/nodes/invite-status.js";
import { type CreateInviteRequest, hmacOfSecret, type NewInvite } from "../../src/nodes/invites.js";
import { alice, bob, openIdentity, refusalOf } from "./open-identity.js";

const request = (over: Partial<CreateInviteRequest> = {}): CreateInviteRequest => ({
  name: undefined,
  ttlSeconds: undefined,
  labels: undefined,
  ...over,
});

describe("invites", () => {
  it("I1: the text says where the hub is and whom to trust, and the store has no secret", async () => {
    const { invites, authority, clock } = await openIdentity();
    const made = await invites.create(alice, request({ name: " build box ", labels: { zone: "a" } }));
    const text = decodeInvite(made.invite);
    expect(text).toMatchObject({
      address: "127.0.0.1:50051",
      caFingerprint: "ab".repeat(32),
      inviteId: made.record.inviteId,
    });
    expect(made.record).toMatchObject({ ownerId: "alice", name: "build box", labels: { zone: "a" }, revision: 1 });
    expect(made.record.expiresAtMs - clock.nowMs()).toBe(15 * 60_000);
    expect(made.record.secretHmac).toBe(hmacOfSecret(authority, text.secret));
    expect(JSON.stringify(made.record)).not.toContain(Buffer.from(text.secret).toString("hex"));
    expect(made.command).toBe(`cortex-node join ${made.invite}`);
    expect(made.configYaml).toBe(`hub:\n  invite: ${made.invite}\nnode:\n  name: "build box"\n`);
  });

  it("I1: two invites have two secrets", async () => {
    const { invites } = await openIdentity();
    const secretOf = ({ invite }: NewInvite) => Buffer.from(decodeInvite(invite).secret).toString("hex");
    expect(secretOf(await invites.create(alice, request()))).not.toBe(secretOf(await invites.create(alice, request())));
  });

  it.each([0, 0.5, -1, 86_401, Number.NaN, Number.POSITIVE_INFINITY])(
    "I1: a time of %d seconds is refused",
    async (ttlSeconds) => {
      const { invites } = await openIdentity();
      expect((await refusalOf(invites.create(alice, request({ ttlSeconds }))))?.code).toBe("BAD_REQUEST");
    },
  );

  it.each(["", "  ", "a\u001b[31m", "a\nb", "x".repeat(129), "a\u202eb"])(
    "I1: the name %j is refused",
    async (name) => {
      const { invites } = await openIdentity();
      expect((await refusalOf(invites.create(alice, request({ name }))))?.code).toBe("BAD_NAME");
    },
  );

  it("I8: another user does not see, list or withdraw it", async () => {
    const { invites } = await openIdentity();
    const { record } = await invites.create(alice, request());
    expect((await refusalOf(invites.get(bob, record.inviteId)))?.code).toBe("NOT_FOUND");
    expect((await refusalOf(invites.revoke(bob, record.inviteId)))?.code).toBe("NOT_FOUND");
    expect(await invites.list(bob, { limit: 10 })).toEqual([]);
    expect(await invites.list(alice, { limit: 10 })).toEqual([record]);
    expect((await refusalOf(invites.get(alice, systemIds.next("inv"))))?.code).toBe("NOT_FOUND");
  });

  it("I1: withdrawing is idempotent", async () => {
    const { invites, clock } = await openIdentity();
    const { record } = await invites.create(alice, request());
    const revoked = await invites.revoke(alice, record.inviteId);
    clock.advance(1000);
    expect(await invites.revoke(alice, record.inviteId)).toEqual(revoked);
    expect(inviteStatus(revoked, clock.nowMs())).toBe("revoked");
  });

  it("I1: an invite is open until the moment it expires, and used outweighs the rest", () => {
    const invite = { usedAtMs: undefined, revokedAtMs: undefined, expiresAtMs: 1000 };
    expect(inviteStatus(invite, 999)).toBe("open");
    expect(inviteStatus(invite, 1000)).toBe("expired");
    expect(inviteStatus({ ...invite, revokedAtMs: 5 }, 2000)).toBe("revoked");
    expect(inviteStatus({ ...invite, revokedAtMs: 5, usedAtMs: 4 }, 2000)).toBe("used");
  });
});
