/** Invites: how a node comes to a user. */

import { z } from "zod";
import { parseId } from "@cortex-mesh/protocol/portable";
import { MAX_INVITE_TTL_SECONDS } from "../nodes/invite-status.js";
import { defineOperation } from "./operation.js";
import {
  createdInviteResource,
  inviteResource,
  toCreatedInviteResource,
  toInviteResource,
} from "./resources/invite.js";
import { pageInput, pageOf, readPage } from "./resources/page.js";

/** Labels of a node. */
const MAX_LABELS = 64;

const label = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}\p{Surrogate}]*$/u, "must have no control characters");

/** Makes an invite; the one time that its secret shows. */
export const createInvite = defineOperation({
  name: "createInvite",
  method: "POST",
  path: "/nodes/invites",
  aliases: ["/nodes/invite"],
  summary: "Make an invite for a node",
  input: z.strictObject({
    name: label.optional(),
    ttlSeconds: z.int().min(1).max(MAX_INVITE_TTL_SECONDS).optional(),
    labels: z
      .record(label, label)
      .refine((labels) => Object.keys(labels).length <= MAX_LABELS, `at most ${MAX_LABELS} labels`)
      .optional(),
  }),
  output: createdInviteResource,
  kind: "json",
  status: 201,
  rule: "user",
  async run({ caller, services }, { name, ttlSeconds, labels }) {
    const created = await services.invites.create(caller, { name, ttlSeconds, labels });
    return toCreatedInviteResource(created, services.clock.nowMs());
  },
});

/** Lists the caller's invites, oldest first. */
export const listInvites = defineOperation({
  name: "listInvites",
  method: "GET",
  path: "/nodes/invites",
  summary: "List invites",
  input: z.strictObject(pageInput),
  output: pageOf(inviteResource),
  kind: "json",
  rule: "user",
  async run({ caller, services }, input) {
    const page = await readPage(
      input,
      (request) => services.invites.list(caller, request),
      ({ inviteId }) => inviteId,
    );
    const nowMs = services.clock.nowMs();
    return { ...page, items: page.items.map((record) => toInviteResource(record, nowMs)) };
  },
});

/** Reads an invite, without its secret. */
export const getInvite = defineOperation({
  name: "getInvite",
  method: "GET",
  path: "/nodes/invites/{inviteId}",
  summary: "Read an invite",
  input: z.strictObject({ inviteId: z.string() }),
  output: inviteResource,
  kind: "json",
  rule: "owner",
  async run({ caller, services }, { inviteId }) {
    return toInviteResource(await services.invites.get(caller, parseId("inv", inviteId)), services.clock.nowMs());
  },
});

/** Withdraws an invite; idempotent. */
export const revokeInvite = defineOperation({
  name: "revokeInvite",
  method: "DELETE",
  path: "/nodes/invites/{inviteId}",
  summary: "Withdraw an invite",
  input: z.strictObject({ inviteId: z.string() }),
  output: inviteResource,
  kind: "json",
  rule: "owner",
  async run({ caller, services }, { inviteId }) {
    return toInviteResource(await services.invites.revoke(caller, parseId("inv", inviteId)), services.clock.nowMs());
  },
});
