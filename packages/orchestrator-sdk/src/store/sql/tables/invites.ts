/** Single-use invitations. */
import type { Kysely } from "kysely";
import type { InviteRecord } from "../../records.js";
import type { InviteReads, InviteWrites } from "../../store.js";
import type { Executor } from "../executor.js";
import type { HubSchema } from "../schema.js";
import { createOwnedRecords } from "./owned-records.js";

/** Prepares the queries of the invites table. */
export function createInvitesTable(db: Kysely<HubSchema>): (executor: Executor) => InviteReads & InviteWrites {
  return createOwnedRecords<InviteRecord>(db, { table: "invites", noun: "invite", idOf: (invite) => invite.inviteId });
}
