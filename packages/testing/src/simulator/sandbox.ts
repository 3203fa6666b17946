/**
 * A sandbox whose processes exist only in virtual time: each writes lines, then exits, by a script from the seed.
 *
 * A process outlives a node that is killed, as a real one does, until the next node sweeps it; a power cut ends it.
 */
import { Readable } from "node:stream";
import type {
  IsolationReport,
  NodeCoreOptions,
  ProcessExit,
  ProcessSpec,
  RunningProcess,
  SandboxDriver,
} from "@cortex-mesh/node-sdk";
import { type Clock, CortexError, type Timer } from "@cortex-mesh/protocol";
import type { NodeProcess } from "../mesh/node-machine.js";
import type { SeededRandom } from "../random.js";
import type { Effect, Effects, ProcessEnding } from "./effects.js";
import { type ProcessScript, writeScript } from "./process-script.js";

/** The processes of one machine. */
export interface Sandbox {
  drivers(process: NodeProcess): NodeCoreOptions["drivers"];
  /** Kills what is left of an earlier process of the node. */
  sweep(): Promise<void>;
  losePower(): void;
}

/** What a sandbox works with. */
export interface SandboxOptions {
  readonly node: string;
  readonly clock: () => Clock;
  readonly random: SeededRandom;
  readonly effects: Effects;
  readonly onClass: (name: "spawn fault" | "noisy" | "stubborn") => void;
}

interface Live {
  readonly owner: NodeProcess;
  readonly kill: (ending: ProcessEnding) => void;
}

/** Makes the sandbox of a machine. */
export function createSandbox(options: SandboxOptions): Sandbox {
  const alive = new Set<Live>();
  const killAll = (isMeant: (live: Live) => boolean, ending: ProcessEnding): void => {
    for (const live of [...alive]) if (isMeant(live)) live.kill(ending);
  };
  return {
    drivers(owner) {
      const driver: SandboxDriver = { name: "simulated", start: (spec) => start(options, { owner, spec, alive }) };
      return new Map([["none", driver]]);
    },
    async sweep() {
      killAll(({ owner }) => owner.isGone(), { kind: "signal", signal: "SIGKILL" });
    },
    losePower: () => killAll(() => true, { kind: "lost" }),
  };
}

interface Starting {
  readonly owner: NodeProcess;
  readonly spec: ProcessSpec;
  readonly alive: Set<Live>;
}

async function start(options: SandboxOptions, { owner, spec, alive }: Starting): Promise<RunningProcess> {
  const { taskId, attempt } = spec;
  const script = writeScript(options.random.fork(`${taskId}.${attempt}`), spec);
  await new Promise<void>((resolve) => owner.clock.setTimer(resolve, script.spawnMs));
  if (script.isMissing) {
    options.onClass("spawn fault");
    throw new CortexError("COMMAND_NOT_FOUND", "there is no such program");
  }
  if (script.lines.length > 6) options.onClass("noisy");
  if (script.isStubborn) options.onClass("stubborn");
  const effect: Effect = {
    taskId,
    attempt,
    node: options.node,
    startedAtMs: options.clock().monotonicMs(),
    written: { stdout: "", stderr: "" },
    ending: undefined,
    endedAtMs: undefined,
  };
  options.effects.started(effect);
  return runScript({ script, effect, clock: options.clock(), owner, alive, workspacePath: spec.workspacePath });
}

interface Run {
  readonly script: ProcessScript;
  readonly effect: Effect;
  readonly clock: Clock;
  readonly owner: NodeProcess;
  readonly alive: Set<Live>;
  readonly workspacePath: string;
}

function runScript({ script, effect, clock, owner, alive, workspacePath }: Run): RunningProcess {
  const streams = { stdout: new Readable({ read() {} }), stderr: new Readable({ read() {} }) };
  const timers: Timer[] = [];
  let settle: (exit: ProcessExit) => void = () => undefined;
  const exited = new Promise<ProcessExit>((resolve) => {
    settle = resolve;
  });
  const live: Live = { owner, kill: (ending) => end(ending) };
  const end = (ending: ProcessEnding): void => {
    if (effect.ending !== undefined) return;
    effect.ending = ending;
    effect.endedAtMs = clock.monotonicMs();
    alive.delete(live);
    for (const timer of timers) timer.cancel();
    if (owner.isGone()) return;
    streams.stdout.push(null);
    streams.stderr.push(null);
    const exitCode = ending.kind === "exit" ? ending.exitCode : null;
    settle({ exitCode, signal: ending.kind === "signal" ? ending.signal : null, survivorCount: 0 });
  };
  alive.add(live);
  for (const { atMs, stream, text } of script.lines) {
    const write = (): void => {
      // Nobody reads what an orphan writes.
      if (owner.isGone()) return;
      effect.written[stream] += text;
      streams[stream].push(Buffer.from(text));
    };
    timers.push(clock.setTimer(write, atMs));
  }
  timers.push(clock.setTimer(() => end({ kind: "exit", exitCode: script.exitCode }), script.durationMs));
  return {
    pid: 1,
    ...streams,
    isolation: reportOf(workspacePath),
    exited,
    writeInput: () => Promise.reject(new CortexError("BAD_REQUEST", "the process takes no input")),
    endInput: () => undefined,
    async terminate({ graceMs = 5_000 } = {}) {
      const killMs = script.isStubborn ? graceMs : Math.min(graceMs, script.obeysAfterMs);
      const signal = killMs === graceMs ? "SIGKILL" : "SIGTERM";
      timers.push(clock.setTimer(() => end({ kind: "signal", signal }), killMs));
      await exited;
    },
  };
}

function reportOf(workspacePath: string): IsolationReport {
  const keys = ["filesystem", "network", "memory", "cpu", "pids", "seccomp", "nonRoot", "output", "disk"] as const;
  const enforced = Object.fromEntries(keys.map((key) => [key, false])) as unknown as IsolationReport["enforced"];
  return { level: "none", driver: "simulated", enforced, workspacePath };
}
