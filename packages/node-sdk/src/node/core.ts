/**
 * A node without disk, network and machine: the parts put together over what is passed in.
 *
 * `createNode` passes in the real ones; simulations pass in a virtual clock, a state that crashes and a network that
 * loses frames.
 */
import { type CortexError, DEFAULT_MAX_OUTPUT_BYTES, DEFAULT_MAX_TASKS } from "@cortex-mesh/protocol";
import { createInbox } from "../inbox/inbox.js";
import { DEFAULT_DRAIN_GRACE_MS, drainTasks, idleWithin } from "../link/drain.js";
import { forgetAttempt } from "../link/forget.js";
import type { NodeFacts } from "../link/handshake.js";
import { createTaskDesk } from "../link/task-desk.js";
import { recoverAttempts } from "../runner/recover.js";
import type { NodeReport } from "../runner/report.js";
import { createRunner } from "../runner/runner.js";
import { prepareTaskPlace } from "../runner/workspace.js";
import { createSkillTable } from "../skills/skill-table.js";
import type { NodeCoreOptions } from "./core-options.js";
import { type NodeParts, superviseLink } from "./link-driver.js";

/** Time for killed tasks to be recorded when the node is closed at once, in milliseconds. */
const CLOSE_WAIT_MS = 3_000;

/** How a drain goes. */
export interface DrainRequestOptions {
  /** How long running tasks may go on, in milliseconds. @default 10000 */
  readonly graceMs?: number | undefined;
  /** Ends every wait at once. */
  readonly signal?: AbortSignal | undefined;
}

/** A node at work. */
export interface NodeCore {
  /** Recovers what an earlier process left, then dials. Resolves when it dials. */
  start(): Promise<void>;
  /** Takes nothing new, waits, delivers, says goodbye. Joins a drain that goes on. */
  drain(options?: DrainRequestOptions): Promise<void>;
  /** Ends at once; what runs is killed. Idempotent, in any order. */
  close(): Promise<void>;
  /** Resolves when the link is over for good: with the fatal error, or nothing after `close` or `drain`. */
  readonly ended: Promise<CortexError | undefined>;
}

/** Puts a node together. */
export function createNodeCore(options: NodeCoreOptions): NodeCore {
  const core = assemble(options);
  let settleEnded: (error: CortexError | undefined) => void = () => {};
  const ended = new Promise<CortexError | undefined>((resolve) => {
    settleEnded = resolve;
  });
  let starting: Promise<void> | undefined;
  let draining: Promise<void> | undefined;
  let closing: Promise<void> | undefined;
  const closed = new AbortController();

  async function start(): Promise<void> {
    const { state, spool, clock, sweep } = options;
    await recoverAttempts({ state, spool, clock, sweep, report: core.report });
    if (closed.signal.aborted) return settleEnded(undefined);
    core.supervisor = superviseLink(core);
    void core.supervisor.ended.then(settleEnded);
  }

  async function drain({ graceMs = DEFAULT_DRAIN_GRACE_MS, signal }: DrainRequestOptions): Promise<void> {
    // Who started it hears why the start failed; here only its end counts.
    await starting?.catch(() => {});
    options.events.draining(graceMs);
    core.drainGraceMs = graceMs;
    const { runner, desk } = core;
    const either = signal === undefined ? closed.signal : AbortSignal.any([closed.signal, signal]);
    const isOnline = (): boolean => core.isOnline;
    await drainTasks({ runner, desk, clock: options.clock, graceMs, signal: either, isOnline });
    core.connection?.send({ case: "goodbye", value: { reason: "drained" } });
    core.supervisor?.close();
    await core.supervisor?.ended;
  }

  async function close(): Promise<void> {
    closed.abort();
    // Who started it hears why the start failed; here only its end counts.
    await starting?.catch(() => {});
    // What waits stays stored; were it not held back, each task that is killed would make room for the next.
    core.runner.beginDrain();
    core.runner.stopAll(0);
    await idleWithin(core.runner, options.clock, { waitMs: CLOSE_WAIT_MS, signal: new AbortController().signal });
    core.supervisor?.close();
    if (core.supervisor === undefined) settleEnded(undefined);
    await ended;
  }

  return {
    start: () => (starting ??= closed.signal.aborted ? Promise.resolve() : start()),
    drain: (request = {}) => (draining ??= drain(request)),
    close: () => (closing ??= close()),
    ended,
  };
}

function assemble(options: NodeCoreOptions): NodeParts {
  const { state, spool, clock, bootId, identity, key } = options;
  const skills = createSkillTable(options.skills, clock);
  const report = (said: NodeReport): void => {
    options.events.reported?.(said);
    core.connection?.send(said);
  };
  const runner = createRunner(
    {
      state,
      spool,
      skills,
      clock,
      report,
      drivers: options.drivers,
      workspaceRoot: identity.workspaceRoot,
      preparePlace: options.preparePlace ?? prepareTaskPlace,
      defaultLevel: options.defaultLevel ?? "none",
      hostEnv: options.hostEnv,
      maxOutputBytes: options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES,
      policy: () => core.policy?.policy,
      forget: (attempt) => forgetAttempt({ state, spool, clock }, attempt),
    },
    options.maxTasks ?? DEFAULT_MAX_TASKS,
  );
  const inbox = createInbox({ state, slots: runner, clock });
  const onRefused = (error: CortexError): void => options.events.refused(error);
  const desk = createTaskDesk({ state, spool, inbox, runner, clock, bootId, report, onRefused });
  const facts: NodeFacts = {
    identity,
    key,
    bootId,
    labels: options.labels ?? {},
    maxTasks: runner.maxTasks,
    capabilities: () => options.machine.capabilities(skills.list()),
  };
  const core: NodeParts = {
    options,
    facts,
    runner,
    desk,
    report,
    connection: undefined,
    supervisor: undefined,
    logSender: undefined,
    policy: undefined,
    isOnline: false,
    drainGraceMs: undefined,
  };
  return core;
}
