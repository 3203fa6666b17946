/** How an invite stands, and how long it may; pure, so that every reader of invites can use it. */
import type { InviteRecord } from "../store/records.js";

/** The longest an invite may hold. */
export const MAX_INVITE_TTL_SECONDS = 24 * 60 * 60;

/** What can be said of an invite: only an open one lets a node in. */
export type InviteStatus = "open" | "used" | "expired" | "revoked";

/** Says what an invite is worth at `nowMs`. Pure. */
export function inviteStatus(
  invite: Pick<InviteRecord, "usedAtMs" | "revokedAtMs" | "expiresAtMs">,
  nowMs: number,
): InviteStatus {
  if (invite.usedAtMs !== undefined) return "used";
  if (invite.revokedAtMs !== undefined) return "revoked";
  return invite.expiresAtMs <= nowMs ? "expired" : "open";
}
