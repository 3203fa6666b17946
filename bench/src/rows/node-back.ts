/** Row: a node is back soon after its hub was started again. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { FleetServerStart } from "../peers/fleet-hub.js";
import { spawnPeer } from "../peers/peer.js";
import type { Measurement, Row, RunOptions } from "../row.js";
import { measureReturn } from "./return-of-nodes.js";

/** What is promised, in milliseconds. */
const PROMISE_MS = 2_000;

/** The row. */
export const nodeBack: Row = {
  name: "node-back",
  what: "time from a restarted hub's ready until a node is welcomed: one node of the SDK, and the last of many at once",
  floor: "what is promised: 2 s",
  bar: { kind: "atMost", ratio: 1 },
  measure,
};

async function measure(options: RunOptions): Promise<readonly Measurement[]> {
  const { size, subject } = await measureReturn(options);
  return [
    { label: "one node", unit: "ms", floor: [PROMISE_MS], subject: await measureOne(options), facts: {} },
    {
      label: `the last of ${size.nodes}`,
      unit: "ms",
      floor: [PROMISE_MS],
      subject: subject.map((round) => Math.max(...round)),
      facts: {},
    },
  ];
}

async function measureOne({ isQuick, diskDirectory }: RunOptions): Promise<readonly number[]> {
  const directory = join(diskDirectory, nodeBack.name);
  const data = join(directory, "hub");
  await mkdir(data, { recursive: true });
  let hub = spawnPeer("cortex-fleet-server");
  await using node = spawnPeer("node");
  const { endpoint } = await hub.call<FleetServerStart>("start", { data });
  const [invite] = await hub.call<string[]>("tickets", { count: 1 });
  const nodeId = await node.call<string>("start", { directory: join(directory, "node"), invite });
  const takenMs: number[] = [];
  for (let round = 0; round < (isQuick ? 2 : 7); round += 1) {
    await hub.kill();
    hub = spawnPeer("cortex-fleet-server");
    const { readyAtMs } = await hub.call<FleetServerStart>("start", { data, address: endpoint.address });
    await hub.call("becomes", { nodeId, status: "online" });
    takenMs.push(Math.max(0, (await node.call<number>("onlineAt")) - readyAtMs));
  }
  await hub[Symbol.asyncDispose]();
  return takenMs;
}
