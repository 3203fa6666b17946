/** `cortex-node status`, `drain` and `leave`: what is done to a node from outside. */
import { rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { openStateDirectory, readIdentity } from "@cortex-mesh/node-sdk";
import { CONTROL_SOCKET } from "./control-address.js";
import { askNode } from "./control-client.js";
import { EXIT, ExitError } from "./exit-status.js";
import { isStateDirectory } from "./hub-choice.js";
import { print } from "./print.js";
import type { NodeStatus } from "./work.js";

/** What a node keeps; the audit log and the logs are not among it. */
const STATE_FILES = [
  "identity.key",
  "settings.json",
  "spool",
  "node.db",
  "node.db-wal",
  "node.db-shm",
  "lock",
  CONTROL_SOCKET,
];

/** Prints how the node stands; the exit status is 69 when none runs. */
export async function showStatus(state: string): Promise<number> {
  const answer = await askNode(state, "GET", "/status");
  if (answer === undefined) {
    print({ status: "stopped", state }, `no node runs on ${state}`);
    return EXIT.unavailable;
  }
  const status = answer.value as NodeStatus;
  const rows = Object.entries(status).map(([name, value]) => `${name.padEnd(10)} ${String(value)}`);
  print(status, rows.join("\n"));
  return EXIT.ok;
}

/** Lets the running node finish and stop; returns when it has. */
export async function drainNode(state: string): Promise<void> {
  const answer = await askNode(state, "POST", "/drain");
  if (answer === undefined) throw new ExitError(EXIT.unavailable, `no node runs on ${state}`);
  print(answer.value, "stopped");
}

/** Removes the identity and all that goes with it. */
export async function leaveHub(state: string): Promise<void> {
  if ((await askNode(state, "GET", "/status")) !== undefined) {
    throw new ExitError(EXIT.stateUnusable, `the node on ${state} runs: \`cortex-node drain\` first`);
  }
  if (!isStateDirectory(state)) {
    print({ event: "left" }, `${state} has not joined a hub`);
    return;
  }
  // Holding the lock while the key goes: no node can start with half of a state.
  const directory = openStateDirectory(state);
  const identity = await readIdentity(directory.state);
  await rm(join(state, "identity.key"), { force: true });
  await directory.close();
  for (const name of STATE_FILES) await rm(join(state, name), { recursive: true, force: true });
  await rmdir(state).catch(() => undefined); // what else is there is not the node's
  const { nodeId, address } = identity ?? {};
  print(
    { event: "left", nodeId, hub: address },
    nodeId === undefined ? "left" : `left ${address ?? ""}; the hub still lists ${nodeId} until its owner revokes it`,
  );
}
