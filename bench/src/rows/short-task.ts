/** Row: a task that does nothing, from the call of the SDK to its result, on an idle hub and an idle node. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { isInMemory } from "../machine.js";
import { openMesh } from "../peers/mesh.js";
import { spawnPeer } from "../peers/peer.js";
import type { SpawnFloorRequest, SpawnFloorSample } from "../peers/spawn-floor.js";
import type { Measurement, Row, RunOptions } from "../row.js";
import { sampleInTurn } from "../sampling.js";
import { median, quantile } from "../statistics.js";

const COMMAND = "true";
/** Time before each run in which nothing happens: the last acknowledgements of the run before are over by then. */
const IDLE_MS = 50;

/**
 * Syncs of which each waits for the one before: *queued* and *leased* at the hub, *started* at the node before the shell
 * is started, its result, and the end at the hub. The hub also syncs *running*, but beside the shell and the node's
 * result: nothing waits for it, so it is not counted. A task without output has no output to sync.
 */
const SERIAL_SYNCS: readonly string[] = ["hub queued", "hub leased", "node started", "node result", "hub end"];

/** The row. */
export const shortTask: Row = {
  name: "short-task",
  what: "`true` at level none, from the call of the SDK to its result, hub and node idle, each a process, TLS, state on disk",
  floor: `the same shell started bare, and ${SERIAL_SYNCS.length} appends of 4 KiB with fdatasync on the same disk`,
  bar: { kind: "atMost", ratio: 5 },
  obstacle: ({ diskDirectory }) =>
    isInMemory(diskDirectory) ? "the repository is in memory, where a sync costs nothing" : undefined,
  measure,
};

async function measure({ isQuick, diskDirectory }: RunOptions): Promise<readonly Measurement[]> {
  const directory = join(diskDirectory, shortTask.name);
  await mkdir(directory);
  await using mesh = await openMesh(directory);
  await using floor = spawnPeer("spawn-floor");
  await floor.call("start", { directory });
  const request: SpawnFloorRequest = { command: COMMAND, syncs: SERIAL_SYNCS.length, idleMs: IDLE_MS };
  const parts: SpawnFloorSample[] = [];
  const samples = await sampleInTurn(
    {
      async floor() {
        const sample = await floor.call<SpawnFloorSample>("sample", request);
        parts.push(sample);
        return sample.spawnMs + sample.syncMs;
      },
      subject: () => mesh.hub.call("runShort", { command: COMMAND, idleMs: IDLE_MS }),
    },
    { warmUp: isQuick ? 5 : 30, rounds: isQuick ? 20 : 100 },
  );
  const facts = {
    serialSyncs: SERIAL_SYNCS.join(" → "),
    floorSpawnP50Ms: median(parts.map(({ spawnMs }) => spawnMs)),
    floorSyncsP50Ms: median(parts.map(({ syncMs }) => syncMs)),
    subjectP90Ms: quantile(samples.subject, 0.9),
    subjectP99Ms: quantile(samples.subject, 0.99),
  };
  return [{ label: "p50", unit: "ms", ...samples, facts }];
}
