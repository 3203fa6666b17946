/** Starts one of the built programs as a user would, and reads its lines of JSON. Whoever starts it ends it. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

const ROOT = join(import.meta.dirname, "../..");
const EVENT_TIMEOUT_MS = 60_000;
/** The last part of a log, for the message of an error. */
const QUOTED_CHARS = 2_000;

/** A line of JSON. */
export type Line = Readonly<Record<string, unknown>>;

/** A program that was started. */
export interface StartedProgram {
  readonly child: ChildProcess;
  /** Lines so far. */
  readonly lines: readonly Line[];
  /** All of standard error so far. */
  stderr(): string;
  /** Waits for the `count`-th line with this `event`. Rejects when the program ends first. */
  event(name: string, count?: number): Promise<Line>;
  /** Exit status; 128 and more when a signal ended it. */
  readonly exited: Promise<number>;
}

/** How to start it. */
export interface StartProgramOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Whether the program gets a channel to this process. @default false */
  readonly hasChannel?: boolean;
}

/** Name of a program. */
export type ProgramName = "cortex-hub" | "cortex-node";

/** Those that run: a test that ran out of time ends none of them. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts a program. */
export function launchProgram(
  name: ProgramName,
  args: readonly string[],
  { env = {}, hasChannel = false }: StartProgramOptions = {},
): StartedProgram {
  const script = join(ROOT, "examples", name.slice("cortex-".length), "bin", `${name}.js`);
  const child = spawn(process.execPath, [script, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe", hasChannel ? "ipc" : "ignore"],
  });
  running.add(child);
  child.once("exit", () => running.delete(child));
  const lines: Line[] = [];
  const listeners = new Set<() => void>();
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on("line", (text) => {
      lines.push(JSON.parse(text) as Line);
      for (const listener of listeners) listener();
    });
  }
  // A channel that this side ended never lets a child "close".
  const end = hasChannel ? "exit" : "close";
  const exited = new Promise<number>((resolve) => child.once(end, (status: number | null) => resolve(status ?? 128)));
  return {
    child,
    lines,
    stderr: () => stderr,
    exited,
    event: (event, count = 1) =>
      new Promise((resolve, reject) => {
        const fail = (why: string): void =>
          reject(new Error(`no "${event}" from ${name} ${why}; log: ${stderr.slice(-QUOTED_CHARS)}`));
        const timer = setTimeout(() => fail("in time"), EVENT_TIMEOUT_MS);
        const look = (): void => {
          const line = lines.filter((each) => each["event"] === event)[count - 1];
          if (line === undefined) return;
          clearTimeout(timer);
          listeners.delete(look);
          resolve(line);
        };
        listeners.add(look);
        look();
        void exited.then(() => {
          clearTimeout(timer);
          fail("before it ended");
        });
      }),
  };
}
