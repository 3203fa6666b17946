/** What a process takes, read from inside it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Collections in a row: what the first one frees may hold what the second one frees. */
const COLLECTIONS = 3;

/** Memory of a process after garbage was collected, and the time it has computed. */
export interface ProcessFigures {
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** User and system time since its start, in microseconds. */
  readonly cpuUs: number;
}

/** Reads both without changing anything. */
export function readCpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Collects garbage, then reads. */
export async function settledFigures(): Promise<ProcessFigures> {
  for (let count = 0; count < COLLECTIONS; count += 1) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { rss, heapUsed } = process.memoryUsage();
  return { rssBytes: rss, heapBytes: heapUsed, cpuUs: readCpuUs() };
}

let collect = (): void => {
  // Looked up at the first use: peers that measure speed keep the collector as it is.
  setFlagsFromString("--expose-gc");
  collect = runInNewContext("gc") as () => void;
  collect();
};
