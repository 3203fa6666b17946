/** Which protocol the two sides speak. */
import { CortexError } from "./errors.js";

/** Release of the packages; one version for all of them. */
export const CORTEX_VERSION = "0.1.0";
/** Newest protocol that this build speaks. */
export const PROTOCOL_VERSION = 1;
/** Oldest protocol that this build still speaks. */
export const PROTOCOL_VERSION_MIN = 1;

/** An inclusive range of protocol versions. */
export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/** What this build speaks. */
export const SUPPORTED_PROTOCOL: VersionRange = { min: PROTOCOL_VERSION_MIN, max: PROTOCOL_VERSION };

/**
 * Picks the newest version that both sides speak.
 *
 * @throws CortexError `VERSION_UNSUPPORTED`, naming both ranges and which side to update.
 */
export function negotiateVersion(ours: VersionRange, theirs: VersionRange): number {
  const version = Math.min(ours.max, theirs.max);
  if (version >= ours.min && version >= theirs.min) return version;
  const older = theirs.max < ours.min ? "the node is too old: update it" : "the hub is too old: update it";
  throw new CortexError(
    "VERSION_UNSUPPORTED",
    `no common protocol version: hub ${ours.min}-${ours.max}, node ${theirs.min}-${theirs.max}; ${older}`,
    { details: { hubMin: ours.min, hubMax: ours.max, nodeMin: theirs.min, nodeMax: theirs.max } },
  );
}
