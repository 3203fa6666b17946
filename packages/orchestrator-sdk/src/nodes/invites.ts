/**
 * Invites: made by a user, spent once by a node (`enrolment.ts`), worth nothing after a short time.
 *
 * The store has the HMAC of the secret; the text with the secret exists only in the answer to `create`.
 */
import {
  type Clock,
  CortexError,
  encodeInvite,
  type IdSource,
  INVITE_SECRET_BYTES,
  type InviteId,
} from "@cortex-mesh/protocol";
import type { Caller } from "../access/caller.js";
import type { InviteRecord } from "../store/records.js";
import type { HubStore, InviteReads, PageRequest } from "../store/store.js";
import type { HubAuthority } from "./authority.js";
import { MAX_INVITE_TTL_SECONDS } from "./invite-status.js";
import { parseNodeName } from "./node-name.js";
import { type RandomSource, systemRandom } from "./random.js";

/** How long an invite holds by default: long enough to walk to the other machine. */
export const DEFAULT_INVITE_TTL_SECONDS = 15 * 60;
/** Wrong secrets before an invite is withdrawn. */
export const MAX_INVITE_TRIES = 5;

/** What to make an invite with. */
export interface CreateInviteRequest {
  /** Name of the node to be. */
  readonly name: string | undefined;
  /** 1 to 86,400. @default 900 */
  readonly ttlSeconds: number | undefined;
  readonly labels: Readonly<Record<string, string>> | undefined;
}

/** An invite with the one chance to read its secret. */
export interface NewInvite {
  readonly record: InviteRecord;
  /** `cxi_…` */
  readonly invite: string;
  /** What to run on the node's machine. */
  readonly command: string;
  /** The same as a configuration file. */
  readonly configYaml: string;
}

/** Where nodes find the hub; written into invites. */
export interface HubEndpoint {
  /** `host:port` as nodes reach it. */
  readonly address: string;
  /** SHA-256 of the CA's certificate, hex; undefined with a public certificate. */
  readonly caFingerprint: string | undefined;
}

/** What {@link createInvites} needs. */
export interface InvitesOptions {
  readonly store: HubStore;
  readonly authority: HubAuthority;
  readonly clock: Clock;
  readonly ids: IdSource;
  /** Asked for each invite, since the address is known only when the hub listens. */
  readonly endpoint: () => HubEndpoint;
  /** @default the system's random source */
  readonly random?: RandomSource;
}

/** Invites of a hub. What the caller does not own is `NOT_FOUND`. */
export interface Invites {
  /** @throws CortexError `BAD_REQUEST` for a time out of range, `BAD_NAME` */
  create(caller: Caller, request: CreateInviteRequest): Promise<NewInvite>;
  /** One invite, without its secret. */
  get(caller: Caller, inviteId: InviteId): Promise<InviteRecord>;
  /** The caller's invites, in id order. */
  list(caller: Caller, page: PageRequest): Promise<InviteRecord[]>;
  /** Withdraws it unless it is used; idempotent. */
  revoke(caller: Caller, inviteId: InviteId): Promise<InviteRecord>;
}

/** Makes the invites of a hub. */
export function createInvites(options: InvitesOptions): Invites {
  const { store, clock } = options;
  return {
    async create(caller, request) {
      const { record, secret } = newInvite(options, caller, request);
      const invite = encodeInvite({ ...options.endpoint(), inviteId: record.inviteId, secret });
      await store.transaction((tx) => tx.invites.insert(record));
      return { record, invite, command: `cortex-node join ${invite}`, configYaml: toConfigYaml(invite, record.name) };
    },
    get: (caller, inviteId) => find(store.invites, caller, inviteId),
    list: (caller, page) => store.invites.list(caller.scope, page),
    revoke: (caller, inviteId) =>
      store.transaction(async (tx) => {
        const invite = await find(tx.invites, caller, inviteId);
        if (invite.usedAtMs !== undefined || invite.revokedAtMs !== undefined) return invite;
        const revoked = { ...invite, revision: invite.revision + 1, revokedAtMs: clock.nowMs() };
        await tx.invites.update(revoked);
        return revoked;
      }),
  };
}

function newInvite(options: InvitesOptions, caller: Caller, request: CreateInviteRequest) {
  const ttlSeconds = request.ttlSeconds ?? DEFAULT_INVITE_TTL_SECONDS;
  if (!(ttlSeconds >= 1 && ttlSeconds <= MAX_INVITE_TTL_SECONDS)) {
    throw new CortexError("BAD_REQUEST", `ttlSeconds: an invite holds for 1 to ${MAX_INVITE_TTL_SECONDS} seconds`);
  }
  const secret = (options.random ?? systemRandom)(INVITE_SECRET_BYTES);
  const createdAtMs = options.clock.nowMs();
  const record: InviteRecord = {
    inviteId: options.ids.next("inv"),
    revision: 1,
    ownerId: caller.userId,
    name: request.name === undefined ? undefined : parseNodeName(request.name),
    labels: { ...request.labels },
    secretHmac: hmacOfSecret(options.authority, secret),
    createdAtMs,
    expiresAtMs: createdAtMs + Math.round(ttlSeconds * 1000),
    revokedAtMs: undefined,
    usedAtMs: undefined,
    usedByKey: undefined,
    nodeId: undefined,
    failedTries: 0,
  };
  return { record, secret };
}

/** What is stored in place of a secret: its HMAC under the hub's pepper, hex. */
export function hmacOfSecret(authority: HubAuthority, secret: Uint8Array): string {
  return Buffer.from(authority.mac("invite-secret", secret)).toString("hex");
}

async function find(invites: InviteReads, caller: Caller, inviteId: InviteId): Promise<InviteRecord> {
  const invite = await invites.get(caller.scope, inviteId);
  if (invite === undefined) throw new CortexError("NOT_FOUND", `there is no invite ${inviteId}`);
  return invite;
}

/** JSON strings are YAML strings, so that any name is quoted right. */
function toConfigYaml(invite: string, name: string | undefined): string {
  const lines = ["hub:", `  invite: ${invite}`];
  if (name !== undefined) lines.push("node:", `  name: ${JSON.stringify(name)}`);
  return `${lines.join("\n")}\n`;
}
