/**
 * Which programs of a machine a task can use, and in which version.
 *
 * Each is asked by running it, as a task would find it: along the same PATH and with the same environment. What is
 * missing, fails or takes too long is absent.
 */
import { type Clock, systemClock } from "@cortex-mesh/protocol";
import { findProgram } from "./find-program.js";
import { runProbe } from "./run-probe.js";

/** Longest time one program gets, in milliseconds. */
export const TOOL_LIMIT_MS = 2_000;
/** Programs asked at once: enough to hide slow ones, few enough to leave the machine alone. */
const MAX_PROBES = 4;

interface Tool {
  readonly name: string;
  /** Programs that count as this tool, first found wins. */
  readonly programs: readonly string[];
  readonly args: readonly string[];
}

const tool = (name: string, args: readonly string[] = ["--version"], programs: readonly string[] = [name]): Tool => ({
  name,
  programs,
  args,
});

// Slow ones first, so that they overlap with the others.
const TOOLS: readonly Tool[] = [
  tool("java", ["-version"]),
  tool("npm"),
  tool("chrome", ["--version"], ["google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome"]),
  tool("python3"),
  tool("docker"),
  tool("podman"),
  tool("node"),
  tool("git"),
  tool("bash"),
  tool("cargo"),
  tool("cmake"),
  tool("ffmpeg", ["-version"]),
  tool("gcc"),
  tool("gh"),
  tool("go", ["version"]),
  tool("make"),
  tool("perl"),
  tool("pnpm"),
  tool("rg"),
  tool("ruby"),
  tool("rustc"),
  tool("uv"),
];

/** What {@link discoverTools} needs. */
export interface ToolOptions {
  /** The environment of a task; its PATH is searched. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends the search; what was found by then is given. */
  readonly signal: AbortSignal;
  /** @default systemClock */
  readonly clock?: Clock;
}

/** Finds the tools of this machine: name to version, sorted by name. */
export async function discoverTools({
  env,
  signal,
  clock = systemClock,
}: ToolOptions): Promise<Record<string, string>> {
  const waiting = TOOLS.flatMap(({ name, args, programs }) => {
    const program = programs.map((each) => findProgram(each, env["PATH"] ?? "")).find((found) => found !== undefined);
    return program === undefined ? [] : [{ name, program, args }];
  });
  const found: [name: string, version: string][] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined && !signal.aborted; next = waiting.shift()) {
      const { name, program, args } = next;
      const text = await withLimit(signal, clock, (limited) => runProbe({ program, args, env, signal: limited }));
      const version = text === undefined ? undefined : parseVersion(text);
      if (version !== undefined) found.push([name, version]);
    }
  };
  await Promise.all(Array.from({ length: MAX_PROBES }, work));
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The first version number in what a program says about itself; undefined when there is none. */
export function parseVersion(text: string): string | undefined {
  return /\d+(?:\.\d+)+/.exec(text)?.[0] ?? /\b\d+\b/.exec(text)?.[0];
}

async function withLimit<T>(signal: AbortSignal, clock: Clock, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const limit = new AbortController();
  const timer = clock.setTimer(() => limit.abort(), TOOL_LIMIT_MS);
  try {
    return await run(AbortSignal.any([signal, limit.signal]));
  } finally {
    timer.cancel();
  }
}
