/** Runs the histories that the command line asks for, and says what came of them. */
import { readArguments, type SimulatorArguments, USAGE } from "./arguments.js";
import { checkFigures, createFigures, type Figures } from "./figures.js";
import { runHistory } from "./history.js";
import { describeFigures, describeViolations, toProof } from "./report.js";

/** Everything held. */
const EXIT_HELD = 0;
/** A promise was broken, or something was never met. */
const EXIT_BROKEN = 1;
const EXIT_USAGE = 64;
/** The figures of a run of so many histories are judged. */
const JUDGED_FROM = 50;
const PROGRESS_EVERY = 25;

/** Where a run writes. */
export interface SimulatorOutput {
  /** One line of what came of it: the same for the same arguments. */
  print(line: string): void;
  /** One line about the run itself: how far, how fast. */
  note(line: string): void;
  /** Keeps the figures as proof. */
  keepProof(figures: Record<string, unknown>): void;
}

/**
 * Runs the simulator as a command line does.
 *
 * @returns the exit status: 0 when every promise was kept, 1 when not, 64 for arguments that are none.
 */
export async function runSimulator(args: readonly string[], output: SimulatorOutput): Promise<number> {
  let asked: SimulatorArguments;
  try {
    asked = readArguments(args);
  } catch (error) {
    output.print(error instanceof Error ? error.message : String(error));
    output.print(USAGE);
    return EXIT_USAGE;
  }
  const startedAtMs = performance.now();
  const total = createFigures();
  let brokenCount = 0;
  for (let seed = asked.firstSeed; seed <= asked.lastSeed; seed += 1) {
    const history = await runHistory({ seed, broken: asked.broken, isTraced: asked.isTraced });
    for (const line of history.trace) output.print(line);
    total.add(history.figures);
    if (history.violations.length > 0) brokenCount += 1;
    for (const line of describeViolations(history, asked.broken)) output.print(line);
    if (asked.firstSeed === asked.lastSeed) output.print(`trace ${history.traceHash}`);
    else if (seed % PROGRESS_EVERY === 0) output.note(`${seed} of ${asked.lastSeed} seeds, ${brokenCount} broken`);
  }
  const seconds = (performance.now() - startedAtMs) / 1000;
  for (const line of describeFigures(total)) output.print(line);
  output.note(`${seconds.toFixed(1)} s, ${(total.histories / seconds).toFixed(1)} histories/s`);
  const isWhole = isEnough(total, asked, output);
  if (asked.isProof && brokenCount === 0 && isWhole) output.keepProof(toProof(total, seconds));
  return brokenCount === 0 && isWhole ? EXIT_HELD : EXIT_BROKEN;
}

function isEnough(figures: Figures, { broken }: SimulatorArguments, output: SimulatorOutput): boolean {
  if (figures.histories < JUDGED_FROM || broken !== undefined) return true;
  const lines = checkFigures(figures);
  for (const line of lines) output.print(line);
  return lines.length === 0;
}
