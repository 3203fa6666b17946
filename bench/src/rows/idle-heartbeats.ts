/** Row: computing that the heartbeats of a full hub take. */
import type { Measurement, Row, RunOptions } from "../row.js";
import { median } from "../statistics.js";
import { idleFleetObstacle, measureIdleFleet } from "./idle-fleet.js";

/** Nodes of a full hub; those of the measurement are fewer and are counted as a share of them. */
const FULL_HUB_NODES = 8_000;
/** One core, in percent. */
const ONE_CORE = 100;

/** The row. */
export const idleHeartbeats: Row = {
  name: "idle-heartbeats",
  what: `computing of a hub with ${FULL_HUB_NODES.toLocaleString("en-US")} idle nodes that send a heartbeat every 5 s, extrapolated from those that were connected`,
  floor: "one core",
  bar: { kind: "atMost", ratio: 0.3 },
  obstacle: idleFleetObstacle,
  measure,
};

async function measure(options: RunOptions): Promise<readonly Measurement[]> {
  const { size, floor, subject } = await measureIdleFleet(options);
  const connected = size.nodes + size.warmUpNodes;
  const full = (ratio: number): number => (ratio * ONE_CORE * FULL_HUB_NODES) / connected;
  return [
    {
      label: `${connected} nodes, as ${FULL_HUB_NODES}`,
      unit: "% of a core",
      floor: [ONE_CORE],
      subject: subject.map(({ cpuRatio }) => full(cpuRatio)),
      facts: {
        measuredPercent: median(subject.map(({ cpuRatio }) => cpuRatio * ONE_CORE)),
        bareMeasuredPercent: median(floor.map(({ cpuRatio }) => cpuRatio * ONE_CORE)),
        windowMs: size.windowMs,
      },
    },
  ];
}
