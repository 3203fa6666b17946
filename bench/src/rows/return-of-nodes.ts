/** How long nodes take to come back after their hub was killed and started again; two rows read it from one measurement. */
import { join } from "node:path";
import { type FleetKind, openFleet } from "../fleet.js";
import type { RunOptions } from "../row.js";

/** What is measured. */
export interface ReturnSize {
  readonly nodes: number;
  readonly rounds: number;
}

/** For each round the milliseconds of each node, from the moment the server was ready. */
export interface ReturnResult {
  readonly size: ReturnSize;
  readonly floor: readonly (readonly number[])[];
  readonly subject: readonly (readonly number[])[];
}

/** What a run measures. */
export function returnSize({ isQuick }: RunOptions): ReturnSize {
  return isQuick ? { nodes: 40, rounds: 2 } : { nodes: 500, rounds: 5 };
}

let measured: Promise<ReturnResult> | undefined;

/** Measures once a run. */
export function measureReturn(options: RunOptions): Promise<ReturnResult> {
  measured ??= measure(options);
  return measured;
}

async function measure(options: RunOptions): Promise<ReturnResult> {
  const size = returnSize(options);
  const rounds: { readonly floor: (readonly number[])[]; readonly subject: (readonly number[])[] } = {
    floor: [],
    subject: [],
  };
  const directory = (kind: FleetKind): string => join(options.diskDirectory, `return-${kind}`);
  await using bare = await openFleet("bare", directory("bare"));
  await using cortex = await openFleet("cortex", directory("cortex"));
  await bare.connect(size.nodes);
  await cortex.connect(size.nodes);
  for (let round = 0; round < size.rounds; round += 1) {
    rounds.floor.push(await bare.restart());
    rounds.subject.push(await cortex.restart());
  }
  return { size, ...rounds };
}
