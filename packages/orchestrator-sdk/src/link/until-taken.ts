/** Reads no more of a node that does not take what it is answered, so that the hub never holds much for it. */
import type { Link } from "@cortex-mesh/protocol";

/** Bytes of answers that may wait for a node while it is still read. */
export const MAX_UNTAKEN_BYTES = 256 * 1024;

/** What to wait for before the node is read on; undefined when it may be read at once. */
export function untilTaken(link: Pick<Link, "bufferedBytes" | "drained">): Promise<void> | undefined {
  return link.bufferedBytes > MAX_UNTAKEN_BYTES ? link.drained() : undefined;
}
