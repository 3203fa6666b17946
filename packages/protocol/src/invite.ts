/**
 * An invite as one line of text: everything a new node needs to find a hub, trust it and be let in.
 *
 * `cxi_` + base64url(body) + check, where check is the CRC-32 of everything before it (4 bytes, base64url: 6 characters)
 * and body is: version (1 byte) · address (length byte, ASCII) · fingerprint (0, or 1 and 32 bytes) · invite id (length
 * byte, ASCII) · secret (32 bytes). The check finds slips of copying, not forgery: the secret does that. It is read
 * first, whatever the version, so that a text is never called newer only because it is damaged.
 *
 * Whoever holds the text can enrol a node, once; it belongs in no log and no error.
 */
import { crc32 } from "node:zlib";
import { CortexError } from "./errors.js";
import { type HubId, type InviteId, isId } from "./ids.js";

/** What an invite says. */
export interface Invite {
  /** `host:port` of the hub. */
  readonly address: string;
  /** SHA-256 of the hub's certificate authority (DER), hex; undefined when the hub has a public certificate. */
  readonly caFingerprint: string | undefined;
  readonly inviteId: InviteId;
  /** 32 random bytes. */
  readonly secret: Uint8Array;
}

/** Why a text is no invite; in `details.reason` of `INVITE_REFUSED`. */
export type InviteFault = "not_an_invite" | "truncated" | "altered" | "newer_version";

/** Length of an invite's secret. */
export const INVITE_SECRET_BYTES = 32;
/** Longest text that is looked at. */
export const MAX_INVITE_CHARS = 1024;

const PREFIX = "cxi_";
const VERSION = 1;
const CHECK_CHARS = 6;
const FINGERPRINT_BYTES = 32;

/**
 * Writes an invite.
 *
 * @throws RangeError when the address or id is not 1 to 255 bytes of printable ASCII, the fingerprint is not 64 hex digits
 * or the secret is not 32 bytes.
 */
export function encodeInvite({ address, caFingerprint, inviteId, secret }: Invite): string {
  if (!isPrintable(address) || !isPrintable(inviteId))
    throw new RangeError("address and id are 1 to 255 printable characters");
  if (caFingerprint !== undefined && !/^[0-9a-f]{64}$/.test(caFingerprint)) {
    throw new RangeError("caFingerprint is 64 lower-case hex digits");
  }
  if (secret.byteLength !== INVITE_SECRET_BYTES) throw new RangeError(`secret has ${INVITE_SECRET_BYTES} bytes`);
  const fingerprint = caFingerprint === undefined ? [0] : [1, ...Buffer.from(caFingerprint, "hex")];
  const body = Buffer.from([VERSION, ...prefixed(address), ...fingerprint, ...prefixed(inviteId), ...secret]);
  const text = PREFIX + body.toString("base64url");
  return text + checkOf(text);
}

/**
 * Reads an invite; white space around it does not matter.
 *
 * @throws CortexError `INVITE_REFUSED`; `details.reason` is an {@link InviteFault}. Never has the text in it.
 */
export function decodeInvite(input: string): Invite {
  const text = input.trim();
  if (!text.startsWith(PREFIX) || text.length > MAX_INVITE_CHARS) {
    throw refuse("not_an_invite", `an invite begins with ${PREFIX}`);
  }
  const body = Buffer.from(text.slice(PREFIX.length, -CHECK_CHARS), "base64url");
  if (!isIntact(text, body)) {
    throw isCutShort(text)
      ? refuse("truncated", "the invite is cut short: copy all of it")
      : refuse("altered", "the invite was altered: copy it again");
  }
  if (body[0] !== VERSION) throw refuse("newer_version", "the invite is of a newer version: update the node");
  const invite = readBody(body);
  if (invite === undefined) throw refuse("altered", "the invite was altered: copy it again");
  return invite;
}

/** Name in the TLS certificate of a hub; the certificate stays good when the hub's address changes. */
export function hubServerName(hubId: HubId): string {
  return `${hubId.replace("_", "-").toLowerCase()}.cortex`;
}

/** Whether the check holds and the text is exactly what its bytes are written as. */
function isIntact(text: string, body: Buffer): boolean {
  const checked = PREFIX + body.toString("base64url");
  return text === checked + checkOf(checked);
}

/** Whether the text, as far as it goes, promises more than is there. */
function isCutShort(text: string): boolean {
  const reader = createReader(Buffer.from(text.slice(PREFIX.length), "base64url"));
  reader.take(1);
  reader.take(reader.byte());
  if (reader.byte() === 1) reader.take(FINGERPRINT_BYTES);
  reader.take(reader.byte());
  reader.take(INVITE_SECRET_BYTES);
  return text.length < PREFIX.length + Math.ceil((reader.position() * 4) / 3) + CHECK_CHARS;
}

function readBody(body: Buffer): Invite | undefined {
  const reader = createReader(body);
  reader.take(1);
  const address = reader.take(reader.byte()).toString("latin1");
  const hasFingerprint = reader.byte();
  const caFingerprint = hasFingerprint === 1 ? reader.take(FINGERPRINT_BYTES).toString("hex") : undefined;
  const inviteId = reader.take(reader.byte()).toString("latin1");
  const secret = Uint8Array.from(reader.take(INVITE_SECRET_BYTES));
  const isWhole = reader.position() === body.byteLength && hasFingerprint <= 1;
  return isWhole && isPrintable(address) && isId("inv", inviteId)
    ? { address, caFingerprint, inviteId, secret }
    : undefined;
}

/** Reads forward; past the end it gives empty and zero, and the position tells. */
function createReader(bytes: Buffer) {
  let at = 0;
  return {
    take(length: number): Buffer {
      at += length;
      return bytes.subarray(at - length, at);
    },
    byte(): number {
      at += 1;
      return bytes[at - 1] ?? 0;
    },
    position: () => at,
  };
}

function prefixed(text: string): number[] {
  const bytes = Buffer.from(text, "latin1");
  return [bytes.byteLength, ...bytes];
}

function isPrintable(text: string): boolean {
  return /^[\x21-\x7e]{1,255}$/.test(text);
}

function checkOf(text: string): string {
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(text));
  return check.toString("base64url");
}

function refuse(reason: InviteFault, message: string): CortexError {
  return new CortexError("INVITE_REFUSED", message, { details: { reason } });
}
