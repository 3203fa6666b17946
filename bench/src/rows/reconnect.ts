/** Row: all nodes of a hub come back at once after it was killed. */

import { descriptorObstacle } from "../fleet.js";
import type { Measurement, Row, RunOptions } from "../row.js";
import { median, quantile } from "../statistics.js";
import { measureReturn, returnSize } from "./return-of-nodes.js";

/** The row. */
export const reconnect: Row = {
  name: "reconnect",
  what: "a hub with its state on disk is killed and started again: time from ready until the last of its nodes is welcomed",
  floor: "bare grpc-js: as many clients with the same waits dial again over TLS, the last one has its first echo",
  bar: { kind: "atMost", ratio: 4 },
  obstacle: (options) => descriptorObstacle(returnSize(options).nodes),
  measure,
};

async function measure(options: RunOptions): Promise<readonly Measurement[]> {
  const { size, floor, subject } = await measureReturn(options);
  const last = (rounds: readonly (readonly number[])[]): number[] => rounds.map((round) => Math.max(...round));
  const middle = (rounds: readonly (readonly number[])[], ratio: number): number =>
    median(rounds.map((round) => quantile(round, ratio)));
  return [
    {
      label: `the last of ${size.nodes}`,
      unit: "ms",
      floor: last(floor),
      subject: last(subject),
      facts: {
        floorP50Ms: middle(floor, 0.5),
        floorP99Ms: middle(floor, 0.99),
        subjectP50Ms: middle(subject, 0.5),
        subjectP99Ms: middle(subject, 0.99),
      },
    },
  ];
}
