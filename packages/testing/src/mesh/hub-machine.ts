/** A hub's machine: what is durable outlives its processes, of which one runs at a time. */
import {
  type Api,
  createMemoryStore,
  type DeadlineOptions,
  type HubCore,
  type HubLogger,
  type MemoryStore,
  type MemoryStoreStep,
  type Operations,
  openHubCore,
  type VerifiedToken,
} from "@cortex-mesh/orchestrator-sdk";
import type { Clock, IdSource } from "@cortex-mesh/protocol";
import type { SeededRandom } from "../random.js";
import { createProcessClock, type ProcessClock } from "./machine-clock.js";
import { createMemoryOutput, type MemoryOutput, type OutputProcess, type OutputStep } from "./memory-output.js";
import { type HubDoor, hubIsDown } from "./transport.js";

/** Places where a hub can die. */
export type HubStep = `store:${MemoryStoreStep}` | `output:${OutputStep}`;

/** What a hub's machine is made of. */
export interface HubMachineOptions {
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly ids: IdSource;
  readonly deadlines: DeadlineOptions;
  /** Commits for each sync of the store. @default 1 */
  readonly syncEvery?: number | undefined;
  readonly onStep: (step: HubStep) => void;
  readonly log: (line: string) => void;
}

/** A hub's machine. */
export interface HubMachine extends HubDoor {
  readonly isUp: boolean;
  /** A process is there, also one that is only starting. */
  readonly isRunning: boolean;
  /** The core of the process that runs. @throws CortexError `UNAVAILABLE` */
  readonly core: HubCore;
  readonly store: MemoryStore;
  /** Starts a process over what is durable. Resolves when it serves, or died before. */
  start(): Promise<void>;
  /** The process dies at once. */
  crash(): void;
  /** Moves the wall clock of the machine. */
  jumpClock(byMs: number): void;
  as(user: string): Api<Operations>;
  close(): Promise<void>;
}

interface HubProcess {
  readonly clock: ProcessClock;
  readonly output: OutputProcess;
  readonly gone: Promise<never>;
  readonly end: () => void;
  /** Tokens that were verified: a token holds until it expires. */
  readonly tokens: Map<string, VerifiedToken>;
  core: HubCore | undefined;
}

interface Machine {
  readonly options: HubMachineOptions;
  readonly output: MemoryOutput;
  store: MemoryStore;
  running: HubProcess | undefined;
  wallOffsetMs: number;
}

/** Makes a machine on which nothing runs yet. */
export function createHubMachine(options: HubMachineOptions): HubMachine {
  const onStep = (step: MemoryStoreStep): void => {
    if (machine.running !== undefined) options.onStep(`store:${step}`);
  };
  const machine: Machine = {
    options,
    output: createMemoryOutput(),
    store: createMemoryStore({ syncEvery: options.syncEvery ?? 1, onStep }),
    running: undefined,
    wallOffsetMs: 0,
  };
  return {
    get isUp() {
      return machine.running?.core !== undefined;
    },
    get isRunning() {
      return machine.running !== undefined;
    },
    get core() {
      return upOn(machine).core;
    },
    get store() {
      return machine.store;
    },
    start: () => start(machine),
    crash: () => crash(machine),
    verify: async (token) => verify(upOn(machine), token),
    async enter(call) {
      const process = upOn(machine);
      return Promise.race([call(process.core), process.gone]);
    },
    jumpClock(byMs) {
      machine.wallOffsetMs += byMs;
    },
    as: (user) => upOn(machine).core.as(user),
    async close() {
      await machine.running?.core?.close();
      machine.running?.clock.stop();
      machine.running = undefined;
    },
  };
}

/** The process that serves. @throws CortexError `UNAVAILABLE` */
function upOn({ running }: Machine): HubProcess & { readonly core: HubCore } {
  if (running?.core === undefined) throw hubIsDown();
  return running as HubProcess & { readonly core: HubCore };
}

async function start(machine: Machine): Promise<void> {
  if (machine.running !== undefined) return;
  const process = boot(machine);
  machine.running = process;
  const starting = open(machine.options, process, machine.store);
  // What is left of a start that was interrupted goes nowhere.
  const core = await Promise.race([starting, process.gone]).catch(() => undefined);
  starting.catch(() => undefined);
  if (core !== undefined && machine.running === process) process.core = core;
}

function boot(machine: Machine): HubProcess {
  const { options, output } = machine;
  let end = (): void => undefined;
  const gone = new Promise<never>((_resolve, reject) => {
    end = () => reject(hubIsDown());
  });
  // Whoever calls into the process hears it; without a caller nobody does.
  gone.catch(() => undefined);
  return {
    clock: createProcessClock(options.clock, () => machine.wallOffsetMs),
    output: output.open((step) => options.onStep(`output:${step}`)),
    gone,
    end,
    tokens: new Map(),
    core: undefined,
  };
}

function crash(machine: Machine): void {
  const process = machine.running;
  if (process === undefined) return;
  machine.running = undefined;
  process.clock.stop();
  machine.store = machine.store.crash();
  process.output.end(machine.options.random);
  process.end();
}

async function verify(process: HubProcess & { readonly core: HubCore }, token: string): Promise<VerifiedToken> {
  const known = process.tokens.get(token);
  if (known !== undefined && known.expiresAtMs > process.clock.nowMs()) return known;
  const verified = await Promise.race([process.core.tokens.verify(token), process.gone]);
  process.tokens.set(token, verified);
  return verified;
}

async function open(options: HubMachineOptions, process: HubProcess, store: MemoryStore): Promise<HubCore> {
  const { random, ids, deadlines } = options;
  const core = await openHubCore({
    store,
    files: process.output,
    clock: process.clock,
    ids,
    random: (sizeBytes) => random.bytes(sizeBytes),
    deadlines,
    logger: createLogger(options.log),
    locate: () =>
      Promise.resolve({ caPem: undefined, endpoint: () => ({ address: "memory:1", caFingerprint: undefined }) }),
  });
  await core.start();
  return core;
}

function createLogger(log: (line: string) => void): HubLogger {
  const silent = (): void => undefined;
  const say =
    (level: string) =>
    (facts: object, message: string): void => {
      const error = "err" in facts && facts.err instanceof Error ? `: ${facts.err.message}` : "";
      log(`${level} ${message}${error}`);
    };
  return { debug: silent, info: silent, warn: say("warn"), error: say("error") };
}
