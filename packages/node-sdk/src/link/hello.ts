/**
 * The first statement of a connection: which attempts the node holds. Also what follows from the hub's answer for the
 * tombstones in it.
 */
import { type Clock, CortexError } from "@cortex-mesh/protocol";
import { HeldState } from "@cortex-mesh/protocol/gen";
import type { NodeReport } from "../runner/report.js";
import type { Runner } from "../runner/runner.js";
import type { AttemptRecord, NodeState } from "../state/node-state.js";

const HELD_STATES: Readonly<Partial<Record<AttemptRecord["state"], HeldState>>> = {
  stored: HeldState.STORED,
  started: HeldState.RUNNING,
  finished: HeldState.FINISHED,
  never_started: HeldState.NEVER_STARTED,
};

/**
 * Attempts that a hello names at most, each in up to 55 bytes: more would not fit into a message, and a hello that cannot be
 * sent ends every connection.
 */
export const MAX_HELD_IN_HELLO = 16_384;

/** What is named first, so that only tombstones are left out. */
const HELLO_ORDER: readonly AttemptRecord["state"][] = ["started", "stored", "finished", "never_started"];

/**
 * Names what the node holds. Tombstones that are over the bound are left out: to the hub one that is not named means the same.
 *
 * @throws CortexError `INTERNAL` when the others are over it. One of them that is not named would be taken for lost, and run
 * a second time; what a node may hold at once is far below.
 */
export function makeHello(
  open: readonly AttemptRecord[],
  { runner, bootId }: { readonly runner: Pick<Runner, "find">; readonly bootId: string },
): NodeReport {
  const inOrder = HELLO_ORDER.flatMap((state) => open.filter((record) => record.state === state));
  if (inOrder[MAX_HELD_IN_HELLO] !== undefined && inOrder[MAX_HELD_IN_HELLO].state !== "never_started") {
    throw new CortexError(
      "INTERNAL",
      `the node holds more than ${MAX_HELD_IN_HELLO} attempts that the hub has to know of`,
    );
  }
  const held = inOrder.slice(0, MAX_HELD_IN_HELLO).map((record) => {
    const inputOffset = BigInt(runner.find(record)?.inputTakenBytes ?? 0);
    const { taskId, attempt, state } = record;
    return { taskId, attempt, state: HELD_STATES[state] ?? HeldState.UNSPECIFIED, inputOffset };
  });
  return { case: "hello", value: { held, bootId } };
}

/** The hub knows of these now: they stay as duplicates to be recognised, and need not be told again. */
export async function settleTold(
  { state, clock }: { readonly state: NodeState; readonly clock: Clock },
  told: readonly AttemptRecord[],
): Promise<void> {
  if (told.length === 0) return;
  const nowMs = clock.nowMs();
  await state.commit((transaction) => {
    for (const { taskId, attempt } of told) {
      const record = transaction.findAttempt(taskId, attempt);
      if (record?.state === "never_started") transaction.put({ ...record, state: "done", changedAtMs: nowMs });
    }
  });
}
