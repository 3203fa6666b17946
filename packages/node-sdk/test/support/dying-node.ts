/**
 * A node in a process of its own that kills itself, as `kill -9` does, at one step of its first task.
 *
 * Arguments: directory of state and spool, step. `before-started` and `before-finished` are inside the transaction that
 * writes that state, `after-…` between its commit and what follows; `running` is while the task runs.
 */
import { join } from "node:path";
import { createNoneDriver } from "../../src/sandbox/drivers/none.js";
import type { NodeState } from "../../src/state/node-state.js";
import { openSqliteState } from "../../src/state/sqlite-state.js";
import { startNode } from "./start-node.js";
import { waitUntil } from "./wait-until.js";

const [directory = "", step = ""] = process.argv.slice(2);

function die(): void {
  process.kill(process.pid, "SIGKILL");
}

const real = openSqliteState(join(directory, "node.db"));
const state: NodeState = {
  ...real,
  async commit(change) {
    let written = "";
    const result = await real.commit((transaction) =>
      change({
        ...transaction,
        put(record) {
          if (step === `before-${record.state}`) die();
          transaction.put(record);
          written = record.state;
        },
      }),
    );
    if (step === `after-${written}`) die();
    return result;
  },
};

// The directory names the node: the sweep of one test leaves the processes of others alone.
const drivers = new Map([["none" as const, createNoneDriver({ nodeId: directory })]]);
const node = await startNode({ state, drivers, maxTasks: 1 }, { directory: join(directory, "spool") });
const hub = await node.hub.connection(1);
const isLong = step === "running";
const command = `echo $$ > ${directory}/pid; echo run >> ${directory}/effects; echo hello${isLong ? "; sleep 600" : ""}`;
hub.dispatch({ index: 1, skill: "shell", input: { command } });
if (isLong) {
  await hub.heard("started", 1);
  hub.dispatch({ index: 2, skill: "shell", input: { command } });
  await hub.heard("accepted", 2);
  await waitUntil(() => {
    const log = node.spool.list()[0]?.log;
    return log !== undefined && log.nextSeq > 1 && log.pendingBytes === 0;
  }, "output on the disk");
  die();
}
// The process ends by itself at its step; this long it may take.
setTimeout(() => process.exit(1), 20_000);
