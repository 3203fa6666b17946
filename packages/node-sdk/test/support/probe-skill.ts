/** A skill whose runs a test steps through by hand. */
import { CortexError } from "@cortex-mesh/protocol";
import { unisolatedReport } from "../../src/sandbox/report.js";
import type { NodeSkill, SkillRequest, StartedSkill } from "../../src/skills/node-skill.js";

/** One run. */
export interface ProbeRun {
  readonly request: SkillRequest;
  /** Input taken so far, as text. */
  readonly input: () => string;
  readonly hasInputEnded: () => boolean;
  /** Graces of the stops that were asked for. */
  readonly stops: readonly number[];
  exit(exitCode: number): void;
  /** While false, writes of input wait. */
  takesInput: boolean;
  releaseInput(): void;
}

/** The skill and its runs by task. */
export interface ProbeSkill {
  readonly skill: NodeSkill;
  readonly runs: ReadonlyMap<string, ProbeRun>;
  /** How often each task was started. */
  readonly starts: ReadonlyMap<string, number>;
  /** Whether a stop ends a run at once. */
  obeysStop: boolean;
}

/** Makes the skill `probe`; an input `{fail: CODE}` makes a start fail. */
export function createProbeSkill(): ProbeSkill {
  const runs = new Map<string, ProbeRun>();
  const starts = new Map<string, number>();
  const probe: ProbeSkill = {
    skill: {
      name: "probe",
      version: "1.0.0",
      description: "",
      inputJsonSchema: undefined,
      outputJsonSchema: undefined,
      async start(request) {
        const { fail } = request.input as { readonly fail?: "COMMAND_NOT_FOUND" };
        if (fail !== undefined) throw new CortexError(fail, "the probe was told to fail");
        starts.set(request.taskId, (starts.get(request.taskId) ?? 0) + 1);
        const { run, started } = createRun(request, probe);
        runs.set(request.taskId, run);
        return started;
      },
    },
    runs,
    starts,
    obeysStop: true,
  };
  return probe;
}

function createRun(request: SkillRequest, probe: ProbeSkill): { run: ProbeRun; started: StartedSkill } {
  const stops: number[] = [];
  const waiting: (() => void)[] = [];
  let input = "";
  let hasEnded = false;
  let settleExit: (end: { exitCode: number | null; signal: string | null }) => void = () => {};
  const exited = new Promise<{ exitCode: number | null; signal: string | null }>((resolve) => {
    settleExit = resolve;
  });
  const run: ProbeRun = {
    request,
    input: () => input,
    hasInputEnded: () => hasEnded,
    stops,
    exit: (exitCode) => settleExit({ exitCode, signal: null }),
    takesInput: true,
    releaseInput: () => {
      for (const take of waiting.splice(0)) take();
    },
  };
  const started: StartedSkill = {
    isolation: unisolatedReport(request.workspacePath, 1000),
    outputs: new Map(),
    input: request.hasInput
      ? {
          write: (bytes) =>
            new Promise((resolve) => {
              const take = (): void => {
                input += Buffer.from(bytes).toString();
                resolve();
              };
              if (run.takesInput) take();
              else waiting.push(take);
            }),
          end: () => {
            hasEnded = true;
          },
        }
      : undefined,
    ended: exited.then((process) => ({ value: null, process })),
    async stop(graceMs) {
      stops.push(graceMs);
      if (probe.obeysStop || graceMs === 0) settleExit({ exitCode: null, signal: "SIGTERM" });
    },
  };
  return { run, started };
}
