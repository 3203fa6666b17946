/**
 * One attempt of a task, from its durable start to its durable end.
 *
 * (A1) *started* is said only when the skill runs. (A2) The end is durable, and the output before it, before it is said.
 * (A3) The first reason to stop counts, and only when it came before the end.
 */
import { fromBinary } from "@bufbuild/protobuf";
import {
  type Clock,
  CortexError,
  isCortexError,
  MAX_PENDING_INPUT_BYTES,
  type OpenedTaskGrant,
  type Timer,
} from "@cortex-mesh/protocol";
import { TaskResponseSchema } from "@cortex-mesh/protocol/gen";
import type { AttemptKey } from "../inbox/inbox.js";
import { withOutputLimit } from "../sandbox/report.js";
import type { OutputStream, StartedSkill } from "../skills/node-skill.js";
import { type AttemptEnd, outcomeOf, type StopReason } from "./outcome.js";
import { type EndedAttempt, finishedRecord, toWireReport } from "./response.js";
import { type RunnerHost, setUpTask } from "./set-up.js";
import { createStallWatch, type StallWatch } from "./stall-watch.js";
import { createTaskInput, type InputPiece, type TaskInput } from "./task-input.js";
import { createTaskOutput, type TaskOutput } from "./task-output.js";

/** Time between TERM and KILL, in milliseconds. */
export const STOP_GRACE_MS = 5_000;
/** Pause before a state that cannot be written is tried again, in milliseconds. */
const COMMIT_RETRY_MS = 1_000;

/** Pieces of input that are held for a skill that is being started. */
const MAX_EARLY_PIECES = 64;

/** A running attempt. */
export interface RunningAttempt extends AttemptKey {
  /** Bytes of standard input that the task has taken. */
  readonly inputTakenBytes: number;
  /** Says *started* again, if it was said. */
  repeatStarted(): void;
  /** Ends it; calling again with a shorter grace shortens. @param graceMs default {@link STOP_GRACE_MS} */
  stop(reason: StopReason, graceMs?: number): void;
  /** Ends it without a word to the hub, which does not want it any more. */
  drop(): void;
  receiveInput(piece: InputPiece): void;
  /** Resolves when its end is durable and said; never rejects. */
  readonly ended: Promise<void>;
}

/** Runs an attempt whose start is durable. */
export function runAttempt(host: RunnerHost, grant: OpenedTaskGrant, startedAtMs: number): RunningAttempt {
  const run = createRun(host, grant, startedAtMs);
  const ended = drive(run);
  return {
    taskId: grant.taskId,
    attempt: grant.attempt,
    get inputTakenBytes() {
      return run.input?.takenBytes ?? 0;
    },
    repeatStarted: () => sayStarted(run),
    stop: (reason, graceMs = STOP_GRACE_MS) => stop(run, reason, graceMs),
    drop() {
      run.isDropped = true;
      stop(run, "cancel", STOP_GRACE_MS);
    },
    receiveInput: (piece) => receiveInput(run, piece),
    ended,
  };
}

interface Run {
  readonly host: RunnerHost;
  readonly grant: OpenedTaskGrant;
  readonly startedAtMs: number;
  readonly output: TaskOutput;
  readonly stall: StallWatch;
  skill: StartedSkill | undefined;
  input: TaskInput | undefined;
  /** Input that came before the skill was started; bounded as pending input is. */
  readonly earlyInput: InputPiece[];
  stopReason: StopReason | undefined;
  /** The shortest grace that was asked for, when a stop came before the skill was started. */
  stopGraceMs: number;
  hasEnded: boolean;
  isDropped: boolean;
}

function createRun(host: RunnerHost, grant: OpenedTaskGrant, startedAtMs: number): Run {
  const { taskId, attempt, task } = grant;
  const key = { taskId, attempt };
  const stall = createStallWatch({
    clock: host.clock,
    afterMs: Number(task.stallAfterMs),
    onChange: (isStalled, seq) =>
      host.report({ case: "progress", value: { ...key, seq: BigInt(seq), stalled: isStalled } }),
  });
  const output = createTaskOutput({
    key,
    spool: host.spool,
    clock: host.clock,
    limitBytes: outputLimitBytes(host, grant),
    onActivity: () => stall.touch(),
    onLimit: () => stop(run, "output", 0),
    onFailure: () => stop(run, "disk", 0),
  });
  const run: Run = {
    host,
    grant,
    startedAtMs,
    output,
    stall,
    skill: undefined,
    input: undefined,
    earlyInput: [],
    stopReason: undefined,
    stopGraceMs: STOP_GRACE_MS,
    hasEnded: false,
    isDropped: false,
  };
  return run;
}

function receiveInput(run: Run, piece: InputPiece): void {
  if (run.input !== undefined) return run.input.receive(piece);
  const heldBytes = run.earlyInput.reduce((sum, { data }) => sum + data.byteLength, 0);
  if (heldBytes + piece.data.byteLength > MAX_PENDING_INPUT_BYTES || run.earlyInput.length >= MAX_EARLY_PIECES) return;
  run.earlyInput.push({ ...piece, data: Uint8Array.from(piece.data) });
}

function outputLimitBytes(host: RunnerHost, grant: OpenedTaskGrant): number {
  const askedBytes = Number(grant.task.sandbox?.limits?.outputBytes ?? 0n) || host.maxOutputBytes;
  return Math.min(askedBytes, host.maxOutputBytes, host.policy()?.limits.outputBytes ?? host.maxOutputBytes);
}

function stop(run: Run, reason: StopReason, graceMs: number): void {
  if (run.hasEnded) return;
  run.stopReason ??= reason;
  run.stopGraceMs = Math.min(run.stopGraceMs, graceMs);
  if (run.skill !== undefined) void run.skill.stop(graceMs);
}

async function drive(run: Run): Promise<void> {
  const end = await runToEnd(run);
  run.hasEnded = true;
  run.stall.close();
  run.input?.close();
  await settle(run, end);
}

async function runToEnd(run: Run): Promise<AttemptEnd> {
  let skill: StartedSkill;
  try {
    if (run.stopReason !== undefined) throw new CortexError("CANCELLED", "the task was stopped before it started");
    skill = await setUpTask(run.host, run.grant, run.output);
  } catch (error) {
    return { kind: "not_started", error };
  }
  run.skill = skill;
  run.input = createTaskInput(skill.input, ({ offset, closed }) => {
    const { taskId, attempt } = run.grant;
    run.host.report({ case: "inputAck", value: { taskId, attempt, offset: BigInt(offset), closed } });
  });
  sayStarted(run);
  for (const piece of run.earlyInput.splice(0)) run.input.receive(piece);
  run.stall.start();
  // A stop that came while it was being started.
  if (run.stopReason !== undefined) void skill.stop(run.stopGraceMs);
  return await follow(run, skill);
}

function sayStarted({ host, grant, startedAtMs, skill, hasEnded }: Run): void {
  if (skill === undefined || hasEnded) return;
  const { taskId, attempt } = grant;
  const isolation = toWireReport(withOutputLimit(skill.isolation));
  host.report({ case: "started", value: { taskId, attempt, startedAtMs: BigInt(startedAtMs), isolation } });
}

async function follow(run: Run, skill: StartedSkill): Promise<AttemptEnd> {
  const timer = startTimeout(run);
  const reading = [...skill.outputs].map(([stream, chunks]) => pump(run.output, stream, chunks));
  let end: AttemptEnd;
  try {
    end = { kind: "ended", end: await skill.ended };
  } catch (error) {
    end = { kind: "threw", error };
  }
  // From here on a stop changes nothing any more (A3).
  run.hasEnded = true;
  timer?.cancel();
  run.output.limitWaiting();
  await Promise.all(reading);
  return end;
}

function startTimeout(run: Run): Timer | undefined {
  const { task } = run.grant;
  const policyMs = run.host.policy()?.limits.wallMs ?? 0;
  const asked = [Number(task.timeoutMs), Number(task.sandbox?.limits?.wallMs ?? 0n), policyMs];
  const limits = asked.filter((limitMs) => limitMs > 0);
  if (limits.length === 0) return undefined;
  return run.host.clock.setTimer(() => stop(run, "timeout", STOP_GRACE_MS), Math.min(...limits));
}

async function pump(output: TaskOutput, stream: OutputStream, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const chunk of chunks) await output.write(stream, chunk);
  } catch {
    // A pipe that breaks has ended: what was read is all there is.
  }
}

/** Makes the end durable, then says it (A2). */
async function settle(run: Run, end: AttemptEnd): Promise<void> {
  const { host, grant, startedAtMs } = run;
  const key = { taskId: grant.taskId, attempt: grant.attempt };
  const { lastSeq: lastLogSeq, isDurable: isOutputDurable } = await run.output.finish();
  // The log failed while the last output was written: the end says so.
  const stopReason = run.stopReason ?? (isOutputDurable ? undefined : "disk");
  if (run.isDropped) return await host.forget(key);
  const finishedAtMs = host.clock.nowMs();
  const isolation = run.skill === undefined ? undefined : withOutputLimit(run.skill.isolation);
  const spooled = host.spool.find(key);
  const hasLog = spooled !== undefined;
  const ended: EndedAttempt = { grant, startedAtMs, finishedAtMs, lastLogSeq, hasLog, isolation };
  const record = finishedRecord(ended, outcomeOf(end, stopReason));
  if (spooled !== undefined) spooled.lastSeq = lastLogSeq;
  const isDurable = await commitWithRetry(
    () => host.state.commit((transaction) => transaction.put(record)),
    host.clock,
  );
  if (!isDurable) return;
  if (run.isDropped) return await host.forget(key);
  if (record.response !== undefined) {
    host.report({ case: "response", value: fromBinary(TaskResponseSchema, record.response) });
  }
}

/**
 * An end that cannot be written is tried again until it can. False when the state is closed: the end is not durable then,
 * and the next start finds the attempt as one that was lost.
 */
async function commitWithRetry(commit: () => Promise<void>, clock: Clock): Promise<boolean> {
  for (;;) {
    try {
      await commit();
      return true;
    } catch (error) {
      if (isCortexError(error) && error.code === "UNAVAILABLE") return false;
    }
    await new Promise<void>((resolve) => {
      clock.setTimer(resolve, COMMIT_RETRY_MS);
    });
  }
}
