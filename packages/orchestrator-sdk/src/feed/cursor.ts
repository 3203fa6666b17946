/** Cursors of a feed as users see them: opaque, so that what stands behind one can change. */
import { CortexError } from "@cortex-mesh/protocol";

const SEQ = /^(?:0|[1-9][0-9]{0,15})$/;

/** The cursor that stands after event number `seq`. */
export function toFeedCursor(seq: number): string {
  return Buffer.from(String(seq), "latin1").toString("base64url");
}

/**
 * The number of the event after which a cursor stands.
 *
 * @throws CortexError `BAD_REQUEST` for what was never a cursor.
 */
export function parseFeedCursor(cursor: string): number {
  const text = Buffer.from(cursor, "base64url").toString("latin1");
  const seq = Number(text);
  if (SEQ.test(text) && Number.isSafeInteger(seq) && toFeedCursor(seq) === cursor) return seq;
  throw new CortexError("BAD_REQUEST", "after: this is not a cursor of the event feed", {
    details: { field: "after" },
  });
}
