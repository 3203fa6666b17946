/** `cortex-hub nodes`: the nodes of all users of a running hub. */
import { askHub, followHub } from "./control-client.js";
import { EXIT, ExitError } from "./exit-status.js";
import type { NodeLine } from "./node-list.js";
import { print, printJson, toTable } from "./print.js";

/** Prints the nodes; with `isWatching` also each change, until the hub ends. */
export async function showNodes(data: string, isWatching: boolean): Promise<void> {
  if (isWatching) await watch(data);
  else await list(data);
}

async function list(data: string): Promise<void> {
  const answer = await askHub(data, { method: "GET", path: "/nodes" });
  if (answer === undefined) throw noHub(data);
  const nodes = answer.value as NodeLine[];
  if (!process.stdout.isTTY) {
    for (const node of nodes) printJson(node);
    return;
  }
  const rows = nodes.map((node) => [
    node.name,
    node.status,
    String(node.runningTasks),
    node.owner,
    node.nodeId,
    node.lastSeenAt ?? "",
  ]);
  process.stdout.write(`${toTable([["NAME", "STATUS", "TASKS", "OWNER", "ID", "LAST SEEN"], ...rows])}\n`);
}

async function watch(data: string): Promise<void> {
  const lines = await followHub(data, "/nodes/watch");
  if (lines === undefined) throw noHub(data);
  for await (const line of lines) {
    const node = line as NodeLine;
    const time = new Date().toTimeString().slice(0, 8);
    print(
      node,
      [time, node.status.padEnd(8), node.name, `tasks ${node.runningTasks}`, `owner ${node.owner}`, node.nodeId].join(
        "  ",
      ),
    );
  }
}

function noHub(data: string): ExitError {
  return new ExitError(EXIT.unavailable, `no hub runs on ${data}: start it with cortex-hub serve, or name its --data`);
}
