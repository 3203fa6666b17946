/** What a node may be called: for people, so any script, but nothing that can garble a terminal or a log. */
import { CortexError } from "@cortex-mesh/protocol";

/** Longest name of a node, in characters. */
export const MAX_NODE_NAME_CHARS = 128;

/**
 * Takes a name from outside; white space around it does not matter.
 *
 * @throws CortexError `BAD_NAME` unless it is 1 to 128 letters, marks, digits, punctuation, symbols and spaces.
 */
export function parseNodeName(value: string): string {
  const name = value.normalize("NFC").trim();
  if (/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u.test(name) && name.length <= MAX_NODE_NAME_CHARS) return name;
  throw new CortexError("BAD_NAME", `a node's name is 1 to ${MAX_NODE_NAME_CHARS} printable characters`);
}
