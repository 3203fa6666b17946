/** Histories of a slice of seeds: every promise holds, and what fails is named with its seed. */
import { expect, it } from "vitest";
import { runHistory } from "../../src/simulator/history.js";
import { describeViolations } from "../../src/simulator/report.js";

/** Generous: a machine that does other work at the same time is several times slower. */
const SLICE_TIMEOUT_MS = 240_000;

/** Declares the test of the seeds `first` to `last`. */
export function testSlice(first: number, last: number): void {
  it(
    `T8: over seeds ${first} to ${last} no accepted task is lost, none that may start once starts twice, no end changes and no output has a hole`,
    async () => {
      const broken: string[] = [];
      for (let seed = first; seed <= last; seed += 1) {
        broken.push(...describeViolations(await runHistory({ seed }), undefined));
      }
      expect(broken).toEqual([]);
    },
    SLICE_TIMEOUT_MS,
  );
}
