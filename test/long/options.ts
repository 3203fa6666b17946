/** The command line of the long run. Pure. */
import { parseArgs } from "node:util";

/** How long a long run is. */
export interface LongRunOptions {
  /** From which every moment follows. */
  readonly seed: number;
  /** Histories for the simulator. */
  readonly simulations: number;
  /** Kills of hubs. */
  readonly hubKills: number;
  /** Kills of nodes. */
  readonly nodeKills: number;
  /** Length of the soak. */
  readonly minutes: number;
}

/** A whole run; a shorter one only prints. */
const WHOLE = { simulations: 10_000, hubKills: 100, nodeKills: 50, minutes: 10 } as const;

const FLAGS = {
  seed: { type: "string" },
  seeds: { type: "string" },
  "hub-kills": { type: "string" },
  "node-kills": { type: "string" },
  minutes: { type: "string" },
} as const;

/**
 * Reads `[--seed N] [--seeds N] [--hub-kills N] [--node-kills N] [--minutes N]`; 0 leaves a part out.
 *
 * @throws TypeError for what is unknown, RangeError for what is no count.
 */
export function readLongRunOptions(args: readonly string[], freshSeed: number): LongRunOptions {
  const { values } = parseArgs({ args: [...args], options: FLAGS });
  const read = (name: keyof typeof FLAGS, otherwise: number): number => {
    const text = values[name];
    const value = text === undefined ? otherwise : Number(text);
    if (text?.trim() === "" || !Number.isFinite(value) || value < 0)
      throw new RangeError(`--${name}: not a count: ${text}`);
    return value;
  };
  return {
    seed: read("seed", freshSeed),
    simulations: read("seeds", WHOLE.simulations),
    hubKills: read("hub-kills", WHOLE.hubKills),
    nodeKills: read("node-kills", WHOLE.nodeKills),
    minutes: read("minutes", WHOLE.minutes),
  };
}

/** Whether a run is as long as one whose figures may be published. */
export function isWhole(options: LongRunOptions): boolean {
  return (["simulations", "hubKills", "nodeKills", "minutes"] as const).every((part) => options[part] >= WHOLE[part]);
}
