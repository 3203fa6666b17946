/** The proof of a run: everything that the page is written from. Pure. */
import type { MachineFacts } from "../machine.js";
import type { JudgedRow } from "../verdict.js";

/** A run with its figures. */
export interface Proof {
  readonly name: "benchmarks";
  readonly commit: string;
  readonly command: string;
  /** ISO 8601, UTC. */
  readonly date: string;
  /** Nothing here is drawn at random but the bytes of the noisy task. */
  readonly seeds: readonly number[];
  readonly counts: { readonly rows: number; readonly passed: number; readonly failed: number; readonly notRun: number };
  readonly machine: MachineFacts;
  /** Load of the last minute before and after: above the number of cores, something else ran. */
  readonly load: { readonly before: number; readonly after: number };
  readonly figures: readonly JudgedRow[];
}

/** Puts a proof together. */
export function makeProof(facts: Omit<Proof, "name" | "counts">): Proof {
  const having = (outcome: JudgedRow["outcome"]): number =>
    facts.figures.filter((row) => row.outcome === outcome).length;
  const counts = {
    rows: facts.figures.length,
    passed: having("pass"),
    failed: having("fail"),
    notRun: having("not-run"),
  };
  return { name: "benchmarks", counts, ...facts };
}
