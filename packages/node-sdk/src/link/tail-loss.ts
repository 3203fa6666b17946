/**
 * Notices that the last frames of a stream got lost, which no later frame would show. Pure.
 *
 * A single look proves nothing: frames may be under way. Two looks in a row between which nothing arrived do.
 */

/** One look: what the peer says it has sent, and what was received. */
export interface TailLook {
  readonly peerSentSeq: number;
  readonly receivedSeq: number;
}

/** Whether frames are lost, given the look before. */
export function isTailLost(before: TailLook | undefined, now: TailLook): boolean {
  if (before === undefined) return false;
  const isBehind = (look: TailLook): boolean => look.peerSentSeq > look.receivedSeq;
  return isBehind(before) && isBehind(now) && before.receivedSeq === now.receivedSeq;
}
