/** The command line of the simulator. */
import { parseArgs } from "node:util";
import { BREAKS, type Break } from "./breaks.js";

/** What is asked for. */
export interface SimulatorArguments {
  /** First and last seed. */
  readonly firstSeed: number;
  readonly lastSeed: number;
  readonly broken: Break | undefined;
  /** Prints every line of the trace; of one seed only. */
  readonly isTraced: boolean;
  /** Writes the figures down as proof. */
  readonly isProof: boolean;
}

/** How it is called. */
export const USAGE = `usage: npm run sim -- [--seeds N | --seed S] [--break ${BREAKS.join("|")}] [--trace] [--proof]`;

const DEFAULT_SEEDS = 100;

/** Reads the arguments. @throws Error with a sentence for people */
export function readArguments(args: readonly string[]): SimulatorArguments {
  const { values } = parseArgs({
    args: [...args],
    strict: true,
    allowPositionals: false,
    options: {
      seeds: { type: "string" },
      seed: { type: "string" },
      break: { type: "string" },
      trace: { type: "boolean", default: false },
      proof: { type: "boolean", default: false },
    },
  });
  if (values.seed !== undefined && values.seeds !== undefined) throw new Error("either --seed or --seeds, not both");
  if (values.trace && values.seed === undefined) throw new Error("--trace needs --seed: one history is traced");
  const broken = values.break === undefined ? undefined : readBreak(values.break);
  if (values.proof && (broken !== undefined || values.seed !== undefined)) {
    throw new Error("--proof is of a whole run in which nothing is broken: --seeds N");
  }
  const seed = values.seed === undefined ? undefined : readCount("--seed", values.seed);
  return {
    firstSeed: seed ?? 1,
    lastSeed: seed ?? (values.seeds === undefined ? DEFAULT_SEEDS : readCount("--seeds", values.seeds)),
    broken,
    isTraced: values.trace,
    isProof: values.proof,
  };
}

function readBreak(name: string): Break {
  const found = BREAKS.find((each) => each === name);
  if (found === undefined) throw new Error(`--break knows ${BREAKS.join(", ")}, not "${name}"`);
  return found;
}

function readCount(flag: string, text: string): number {
  const count = Number(text);
  if (!/^[0-9]{1,9}$/.test(text) || count < 1) throw new Error(`${flag} is a number from 1 on, not "${text}"`);
  return count;
}
