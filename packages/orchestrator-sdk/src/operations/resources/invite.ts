/** The invite as users see it; the secret shows once, in the answer to its creation. */
import { z } from "zod";
import { inviteStatus } from "../../nodes/invite-status.js";
import type { NewInvite } from "../../nodes/invites.js";
import type { InviteRecord } from "../../store/records.js";
import { time, toTime } from "./time.js";

/** Schema of an invite. */
export const inviteResource = z.strictObject({
  inviteId: z.string(),
  revision: z.int(),
  name: z.string().nullable(),
  labels: z.record(z.string(), z.string()),
  status: z.enum(["open", "used", "expired", "revoked"]),
  createdAt: time,
  expiresAt: time,
  usedAt: time.nullable(),
  revokedAt: time.nullable(),
  /** The node it became. */
  nodeId: z.string().nullable(),
});

/** Schema of the answer to a creation. */
export const createdInviteResource = z.strictObject({
  ...inviteResource.shape,
  invite: z.string(),
  command: z.string(),
  configYaml: z.string(),
});

/** An invite as users see it. */
export type InviteResource = z.output<typeof inviteResource>;

/** Makes the resource as it stands at `nowMs`. */
export function toInviteResource(record: InviteRecord, nowMs: number): InviteResource {
  return {
    inviteId: record.inviteId,
    revision: record.revision,
    name: record.name ?? null,
    labels: { ...record.labels },
    status: inviteStatus(record, nowMs),
    createdAt: toTime(record.createdAtMs),
    expiresAt: toTime(record.expiresAtMs),
    usedAt: toTime(record.usedAtMs),
    revokedAt: toTime(record.revokedAtMs),
    nodeId: record.nodeId ?? null,
  };
}

/** Makes the answer to a creation. */
export function toCreatedInviteResource(created: NewInvite, nowMs: number): z.output<typeof createdInviteResource> {
  const { record, invite, command, configYaml } = created;
  return { ...toInviteResource(record, nowMs), invite, command, configYaml };
}
