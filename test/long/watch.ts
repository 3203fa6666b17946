/** Looks at programs every few seconds: memory, descriptors, what is on disk. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { countDescriptors, residentMib } from "../support/processes.js";
import type { Checks } from "./checks.js";
import { fitTrend, type TimedFigure } from "./trend.js";

const LOOK_MS = 2_000;
/** The part of a soak in which caches fill and code is compiled. */
const WARM_UP_RATIO = 0.3;
/** Less time than this says nothing about a slope, in seconds. */
const MIN_JUDGED_S = 120;

/** A process to look at. */
export interface Watched {
  readonly name: string;
  readonly pid: number;
  /** Where its database is. */
  readonly directory: string;
  /** Name of the database there. */
  readonly database: string;
}

/** How far a figure may grow over what is judged: this share of its median, and this much more. */
interface Bound {
  readonly ratio: number;
  readonly more: number;
}

const BOUNDS: Readonly<Record<"residentMib" | "descriptors", Bound>> = {
  residentMib: { ratio: 0.15, more: 8 },
  descriptors: { ratio: 0.05, more: 4 },
};

/** What was seen of one process. */
export interface WatchedFigures {
  readonly residentMib: readonly TimedFigure[];
  readonly descriptors: readonly TimedFigure[];
  /** Database with its journal. */
  readonly databaseBytes: readonly TimedFigure[];
}

/** A watch under way. */
export interface Watch {
  /** Ends it; gives what was seen, by name. */
  stop(): Readonly<Record<string, WatchedFigures>>;
}

/** Starts to look. */
export function startWatch(watched: readonly Watched[]): Watch {
  const startedAtMs = performance.now();
  const seen = watched.map((process) => ({
    process,
    residentMib: [] as TimedFigure[],
    descriptors: [] as TimedFigure[],
    databaseBytes: [] as TimedFigure[],
  }));
  const look = (): void => {
    const atS = (performance.now() - startedAtMs) / 1000;
    for (const { process, ...figures } of seen) {
      figures.residentMib.push({ atS, value: residentMib(process.pid) });
      figures.descriptors.push({ atS, value: countDescriptors(process.pid) });
      figures.databaseBytes.push({ atS, value: databaseBytes(process) });
    }
  };
  look();
  const timer = setInterval(look, LOOK_MS);
  return {
    stop() {
      clearInterval(timer);
      look();
      return Object.fromEntries(seen.map(({ process, ...figures }) => [process.name, figures]));
    },
  };
}

function databaseBytes({ directory, database }: Watched): number {
  const files = readdirSync(directory).filter((name) => name.startsWith(database));
  return files.reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

/** Holds memory and descriptors against their bounds. */
export function judgeFlatness(checks: Checks, name: string, figures: WatchedFigures): void {
  for (const what of ["residentMib", "descriptors"] as const) {
    const series = figures[what];
    const fromS = (series.at(-1)?.atS ?? 0) * WARM_UP_RATIO;
    const judged = series.filter(({ atS }) => atS >= fromS);
    const overS = (judged.at(-1)?.atS ?? 0) - (judged.at(0)?.atS ?? 0);
    if (overS < MIN_JUDGED_S) continue;
    const { growth, median } = fitTrend(judged);
    const most = median * BOUNDS[what].ratio + BOUNDS[what].more;
    const figure = `${growth.toFixed(1)} over ${overS.toFixed(0)} s, at most ${most.toFixed(1)}, median ${median.toFixed(1)}`;
    checks.add(`soak: ${what} of the ${name} stays flat`, growth <= most, figure);
  }
}
