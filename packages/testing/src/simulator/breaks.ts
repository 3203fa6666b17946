/** The rules that can be taken out, to show that the oracle notices: each wraps a seam around production's code. */
import type { NodeState } from "@cortex-mesh/node-sdk";

/** Names of the rules, as the command line takes them. */
export const BREAKS = ["no-dedupe", "no-commit-before-ack", "no-attempt-check"] as const;

/** A rule that is taken out. */
export type Break = (typeof BREAKS)[number];

/** How often a hub that acknowledges before it commits syncs, in milliseconds. */
export const LAZY_SYNC_MS = 10_000;

/** A state that does not remember which attempts the node has seen. */
export function forgetAttempts(state: NodeState): NodeState {
  return {
    commit: (change) => state.commit((transaction) => change({ ...transaction, findTask: () => undefined })),
    listOpen: () => state.listOpen(),
    readSetting: (name) => state.readSetting(name),
    close: () => state.close(),
  };
}
