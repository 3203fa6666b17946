/**
 * Which hub: what the invite says, what the settings put in its place, and what the state directory remembers.
 */
import { X509Certificate } from "node:crypto";
import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";
import { type NodeIdentity, openStateDirectory, readIdentity, writeIdentity } from "@cortex-mesh/node-sdk";
import { decodeInvite, encodeInvite } from "@cortex-mesh/protocol";
import { EXIT, ExitError } from "./exit-status.js";
import type { NodeSettings } from "./settings.js";

const DATABASE_FILE = "node.db";

/**
 * Whether a node ever used this directory. Opens nothing.
 *
 * @throws the system's error when the directory is there and cannot be used.
 */
export function isStateDirectory(state: string): boolean {
  if (!isThere(state)) return false;
  accessSync(state, constants.R_OK | constants.W_OK | constants.X_OK);
  return isThere(join(state, DATABASE_FILE));
}

/** Only "not found" is a no: what cannot be looked at may be there. */
function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/**
 * The invite with the hub's address from the settings, where they have one.
 *
 * @throws {@link CortexError} `INVITE_REFUSED` when it is none; {@link ExitError} with 65 when it is for another hub than
 * the settings name.
 */
export function adjustInvite(text: string, settings: NodeSettings): string {
  const invite = decodeInvite(text);
  const { hubAddress, caFingerprint } = settings;
  if (caFingerprint !== undefined && caFingerprint !== invite.caFingerprint) throw otherHub("the invite");
  return hubAddress === undefined ? text.trim() : encodeInvite({ ...invite, address: hubAddress });
}

/**
 * Checks what the directory remembers against the settings and takes over a new address. Undefined when no node joined.
 *
 * @throws {@link ExitError} with 65 when the settings name another hub; {@link CortexError} `STATE_IN_USE`.
 */
export async function prepareIdentity(state: string, settings: NodeSettings): Promise<NodeIdentity | undefined> {
  if (!isStateDirectory(state)) return undefined;
  const directory = openStateDirectory(state);
  try {
    const identity = await readIdentity(directory.state);
    if (identity === undefined) return undefined;
    const { hubAddress, caFingerprint } = settings;
    if (caFingerprint !== undefined && caFingerprint !== fingerprintOf(identity)) throw otherHub(state);
    if (hubAddress === undefined || hubAddress === identity.address) return identity;
    const moved = { ...identity, address: hubAddress };
    await writeIdentity(directory.state, moved);
    return moved;
  } finally {
    await directory.close();
  }
}

/**
 * Refuses to join again with a directory that belongs to a node: what waits there is not for another one. The invite that
 * made the node is let through, so that a join that was cut off can be repeated.
 *
 * @throws {@link ExitError} with 73
 */
export function assertSameInvite(invite: string, identity: NodeIdentity, state: string): void {
  if (decodeInvite(invite).inviteId === identity.inviteId) return;
  throw new ExitError(
    EXIT.stateUnusable,
    `${state} belongs to ${identity.nodeId} of the hub at ${identity.address}: start it with \`cortex-node run\`; to join anew, \`cortex-node leave\` first or name another --state`,
  );
}

/** Undefined with a public certificate. */
function fingerprintOf({ caPem }: NodeIdentity): string | undefined {
  return caPem === "" ? undefined : new X509Certificate(caPem).fingerprint256.replaceAll(":", "").toLowerCase();
}

function otherHub(what: string): ExitError {
  return new ExitError(
    EXIT.badConfiguration,
    `hub.caFingerprint: ${what} is for a hub with another certificate authority`,
  );
}
