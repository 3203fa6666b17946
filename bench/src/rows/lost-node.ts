/** Row: a node that is gone is seen offline soon, whether it was killed or only fell silent. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { FleetServerStart } from "../peers/fleet-hub.js";
import { type Peer, spawnPeer } from "../peers/peer.js";
import type { Measurement, Row, RunOptions } from "../row.js";

/** What is promised, in milliseconds. */
const PROMISE_MS = 15_000;

/** The row. */
export const lostNode: Row = {
  name: "lost-node",
  what: "time until a hub says that a node is offline: killed, or frozen with its connections open",
  floor: "what is promised: 15 s",
  bar: { kind: "atMost", ratio: 1 },
  measure,
};

async function measure({ isQuick, diskDirectory }: RunOptions): Promise<readonly Measurement[]> {
  const directory = join(diskDirectory, lostNode.name);
  await using hub = spawnPeer("cortex-fleet-server");
  await mkdir(join(directory, "hub"), { recursive: true });
  await hub.call<FleetServerStart>("start", { data: join(directory, "hub") });
  const takenMs = { killed: [] as number[], frozen: [] as number[] };
  for (let round = 0; round < (isQuick ? 1 : 5); round += 1) {
    for (const way of ["killed", "frozen"] as const) {
      takenMs[way].push(await lose(hub, join(directory, `${way}-${round}`), way));
    }
  }
  const { killed, frozen } = takenMs;
  return [
    { label: "killed", unit: "ms", floor: [PROMISE_MS], subject: killed, facts: {} },
    { label: "frozen", unit: "ms", floor: [PROMISE_MS], subject: frozen, facts: {} },
  ];
}

async function lose(hub: Peer, directory: string, way: "killed" | "frozen"): Promise<number> {
  await using node = spawnPeer("node");
  const [invite] = await hub.call<string[]>("tickets", { count: 1 });
  const nodeId = await node.call<string>("start", { directory, invite });
  await hub.call("becomes", { nodeId, status: "online" });
  const lostAtMs = performance.timeOrigin + performance.now();
  process.kill(node.pid, way === "killed" ? "SIGKILL" : "SIGSTOP");
  const takenMs = (await hub.call<number>("becomes", { nodeId, status: "offline" })) - lostAtMs;
  if (way === "frozen") await node.kill();
  return takenMs;
}
