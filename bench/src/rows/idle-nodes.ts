/** Row: memory that an idle node takes of its hub. */
import type { Measurement, Row, RunOptions } from "../row.js";
import { median } from "../statistics.js";
import { type IdleSample, idleFleetObstacle, measureIdleFleet } from "./idle-fleet.js";

const KIB = 1024;

/** The row. */
export const idleNodes: Row = {
  name: "idle-nodes",
  what: "resident memory of a hub for each idle node: two TLS connections, three streams, a heartbeat every 5 s",
  floor: "bare grpc-js with as many TLS connections, streams and heartbeats, echoed",
  bar: { kind: "atMost", ratio: 1.3 },
  knownFloor: 142,
  obstacle: idleFleetObstacle,
  measure,
};

async function measure(options: RunOptions): Promise<readonly Measurement[]> {
  const { size, floor, subject } = await measureIdleFleet(options);
  const middle = (samples: readonly IdleSample[], pick: (sample: IdleSample) => number): number =>
    median(samples.map(pick)) / KIB;
  const kib = (samples: readonly IdleSample[]): number[] => samples.map(({ bytesANode }) => bytesANode / KIB);
  return [
    {
      label: `${size.nodes} nodes`,
      unit: "KiB a node",
      floor: kib(floor),
      subject: kib(subject),
      facts: {
        floorDataConnectionKib: middle(floor, ({ dataBytesANode }) => dataBytesANode),
        subjectDataConnectionKib: middle(subject, ({ dataBytesANode }) => dataBytesANode),
        floorHeapKib: middle(floor, ({ heapBytesANode }) => heapBytesANode),
        subjectHeapKib: middle(subject, ({ heapBytesANode }) => heapBytesANode),
      },
    },
  ];
}
