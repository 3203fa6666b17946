/**
 * The marker that each process of a task carries in its environment, so that it is found after it left its group.
 *
 * Two variables: which node started it (two nodes of one machine never touch each other's processes) and which attempt
 * of which task it belongs to. A child inherits both; only one that clears its environment loses them.
 */

/** Names the node's state, the same after a restart of the node. */
export const NODE_VARIABLE = "CORTEX_NODE";
/** Names the attempt: `<taskId>.<attempt>`. */
export const TASK_VARIABLE = "CORTEX_TASK";

/** Which processes are meant: all of a node, or those of one attempt. */
export interface Marker {
  readonly nodeId: string;
  /** `<taskId>.<attempt>`; without it, every task of the node is meant. */
  readonly task?: string;
}

/** The marker of one attempt. */
export function taskMarker(nodeId: string, taskId: string, attempt: number): Required<Marker> {
  return { nodeId, task: `${taskId}.${attempt}` };
}

/** The environment variables of a marker. */
export function markerVariables(marker: Required<Marker>): Record<string, string> {
  return { [NODE_VARIABLE]: marker.nodeId, [TASK_VARIABLE]: marker.task };
}

/** Makes the test of a marker on the bytes of a `/proc/<pid>/environ`. Names and values match whole. */
export function markerTest(marker: Marker): (environ: Buffer) => boolean {
  const needles = [Buffer.from(`${NODE_VARIABLE}=${marker.nodeId}\0`)];
  if (marker.task !== undefined) needles.push(Buffer.from(`${TASK_VARIABLE}=${marker.task}\0`));
  return (environ) => needles.every((needle) => hasVariable(environ, needle));
}

function hasVariable(environ: Buffer, needle: Buffer): boolean {
  for (let at = environ.indexOf(needle); at !== -1; at = environ.indexOf(needle, at + 1)) {
    if (at === 0 || environ[at - 1] === 0) return true;
  }
  return false;
}
