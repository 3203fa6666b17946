/** Brings the planned faults about, and heals everything in the end. */
import type { HubStep } from "../mesh/hub-machine.js";
import type { CrashKind, NodeStep } from "../mesh/node-machine.js";
import type { StreamKind } from "../mesh/wire.js";
import type { World } from "../mesh/world.js";
import type { SeededRandom } from "../random.js";
import type { FaultRatios } from "../seeded-faults.js";
import type { CrashFacts, PlannedFault } from "./fault-plan.js";
import type { FigureName, Figures } from "./figures.js";
import type { Reach } from "./reach.js";
import type { Trace } from "./trace.js";

/** A crash that waits for its step is made anyway after this time, in milliseconds. */
const PATIENCE_MS = 12_000;

/** A broken path is noticed and made anew within this time, in milliseconds. */
const NOTICED_WITHIN_MS = 10_000;

/** Brings faults about. */
export interface FaultDriver {
  /** How often frames meet faults now. */
  ratios(kind: StreamKind): FaultRatios;
  isAnswerLost(): boolean;
  replayRatio(): number;
  onHubStep(step: HubStep): void;
  onNodeStep(node: number, step: NodeStep): void;
  start(plan: readonly PlannedFault[]): void;
  /** From now on only frames of logs get lost: no new connection covers up what their streams have to notice themselves. */
  calmDown(): void;
  /** Ends every fault and starts what is down. Nothing fails any more. */
  heal(): void;
}

/** What a driver works with. */
export interface FaultDriverOptions {
  readonly world: () => World;
  readonly random: SeededRandom;
  readonly figures: Figures;
  readonly trace: Trace;
  /** Is told for how long word may not come through. */
  readonly reach: Reach;
}

interface Armed {
  readonly step: HubStep | NodeStep;
  skip: number;
  readonly crash: () => void;
}

interface DriverState extends FaultDriverOptions {
  /** The crash that waits, by machine: `hub` or the number of a node. */
  readonly armed: Map<"hub" | number, Armed>;
  /** Ends of partitions and stalls, by node; the latest counts. */
  readonly healAtMs: Map<number, number>;
  /** How far clocks are off, by machine. */
  readonly jumpedMs: Map<"hub" | number, number>;
  isCalm: boolean;
  isOver: boolean;
}

const CALM: FaultRatios = {};
const LOSSY_LOGS: FaultRatios = { drop: 0.15, duplicate: 0.05 };

/** Makes the driver of a history. */
export function createFaultDriver(options: FaultDriverOptions): FaultDriver {
  const { random, figures } = options;
  const state: DriverState = {
    ...options,
    armed: new Map(),
    healAtMs: new Map(),
    jumpedMs: new Map(),
    isCalm: false,
    isOver: true,
  };
  const ratios: FaultRatios = {
    drop: random.between(0.002, 0.025),
    duplicate: random.between(0.005, 0.03),
    reorder: random.between(0.001, 0.006),
    delay: random.between(0.01, 0.05),
    maxDelayMs: 2_000,
  };
  const lostAnswerRatio = random.between(0.01, 0.04);
  return {
    ratios(kind) {
      if (state.isOver) return CALM;
      if (state.isCalm) return kind === "logs" ? LOSSY_LOGS : CALM;
      return ratios;
    },
    isAnswerLost() {
      const isLost = !state.isCalm && !state.isOver && random.chance(lostAnswerRatio);
      if (isLost) figures.count("lost answer");
      return isLost;
    },
    replayRatio: () => (state.isOver ? 0 : 0.15),
    onHubStep: (step) => meet(state, "hub", step),
    onNodeStep: (node, step) => meet(state, node, step),
    start(plan) {
      state.isOver = false;
      const { clock } = options.world();
      for (const fault of plan) clock.setTimer(() => bring(state, fault), fault.atMs - clock.monotonicMs());
    },
    calmDown() {
      healMachines(state);
      state.isCalm = true;
    },
    heal() {
      state.isOver = true;
      state.trace.add("everything heals");
      healMachines(state);
    },
  };
}

/** A process is at a step: if its crash waits for that one, it dies here. */
function meet(
  { armed, figures, isCalm, isOver }: DriverState,
  machine: "hub" | number,
  step: HubStep | NodeStep,
): void {
  const waiting = armed.get(machine);
  if (waiting?.step !== step || isOver || isCalm) return;
  waiting.skip -= 1;
  if (waiting.skip >= 0) return;
  armed.delete(machine);
  figures.count(`${machine === "hub" ? "hub" : "node"} ${step}` as FigureName);
  waiting.crash();
}

function bring(state: DriverState, fault: PlannedFault): void {
  if (state.isOver || state.isCalm) return;
  const { figures, trace } = state;
  const world = state.world();
  switch (fault.kind) {
    case "cut": {
      const hears = { both: ["first", "second"], hub: ["second"], node: ["first"] } as const;
      figures.count(fault.hears === "both" ? "cut both" : "cut one end");
      trace.add(`fault: cut ${world.node(fault.node).name}, ${fault.hears} hears`);
      world.node(fault.node).wire.cut(hears[fault.hears]);
      state.reach.disturbed(world.node(fault.node).name, NOTICED_WITHIN_MS);
      break;
    }
    case "stall":
    case "partition":
      separate(state, fault);
      break;
    case "hub crash":
      arm(state, "hub", { ...fault, crash: () => crashHub(state, fault.how, fault.step) });
      break;
    case "node crash":
      arm(state, fault.node, {
        ...fault,
        crash: () => crashNode(state, fault.node, { ...fault.how, step: fault.step }),
      });
      break;
    case "clock jump": {
      figures.count("clock jump");
      trace.add(`fault: clock of ${fault.machine} jumps by ${fault.byMs} ms`);
      jumpClock(state, fault.machine, fault.byMs);
      mistrust(state, fault.machine);
      world.clock.setTimer(() => setClockBack(state, fault.machine), fault.forMs);
      break;
    }
    case "drain":
      drain(state, fault);
      break;
  }
}

function separate(
  state: DriverState,
  fault: {
    readonly kind: "stall" | "partition";
    readonly node: number | "all";
    readonly forMs: number;
    readonly isHeard?: boolean;
  },
): void {
  const { figures, trace } = state;
  const { clock, nodes } = state.world();
  figures.count(fault.kind === "stall" ? "stall" : fault.node === "all" ? "partition of all" : "partition");
  trace.add(`fault: ${fault.kind} of ${fault.node} for ${Math.round(fault.forMs)} ms`);
  const targets = fault.node === "all" ? [...nodes.keys()] : [fault.node];
  for (const target of targets) {
    const untilMs = Math.max(clock.monotonicMs() + fault.forMs, state.healAtMs.get(target) ?? 0);
    state.healAtMs.set(target, untilMs);
    state.reach.disturbed(nodes[target]?.name ?? "", untilMs - clock.monotonicMs() + NOTICED_WITHIN_MS);
    if (fault.isHeard === true) nodes[target]?.wire.cut(["second"]);
    nodes[target]?.wire.partition();
    clock.setTimer(() => {
      if (state.healAtMs.get(target) !== untilMs) return;
      state.healAtMs.delete(target);
      nodes[target]?.wire.heal();
    }, untilMs - clock.monotonicMs());
  }
}

function arm(
  state: DriverState,
  machine: "hub" | number,
  { step, skip, crash }: { readonly step: HubStep | NodeStep; readonly skip: number; readonly crash: () => void },
): void {
  if (state.armed.has(machine)) return;
  const armed: Armed = { step, skip, crash };
  state.armed.set(machine, armed);
  state.world().clock.setTimer(() => {
    if (state.armed.get(machine) !== armed) return;
    state.armed.delete(machine);
    crash();
  }, PATIENCE_MS);
}

function crashHub(state: DriverState, { kind, awayMs }: CrashFacts, step: string): void {
  const world = state.world();
  if (!world.hub.isUp) return;
  state.figures.count(kind === "kill" ? "hub killed" : "hub without power");
  state.trace.add(`fault: hub dies (${kind}) at ${step}`);
  world.crashHub(kind);
  for (const { name } of world.nodes) state.reach.disturbed(name, awayMs + NOTICED_WITHIN_MS);
  world.clock.setTimer(() => void world.startHub(), awayMs);
}

function crashNode(
  state: DriverState,
  index: number,
  { kind, awayMs, step }: { readonly kind: CrashKind; readonly awayMs: number; readonly step: string },
): void {
  const world = state.world();
  const { machine, name } = world.node(index);
  if (!machine.isUp) return;
  state.figures.count(kind === "kill" ? "node killed" : "node without power");
  state.trace.add(`fault: ${name} dies (${kind}) at ${step}`);
  world.crashNode(index, kind);
  world.clock.setTimer(() => void world.startNode(index), awayMs);
}

function drain(
  state: DriverState,
  fault: { readonly node: number; readonly graceMs: number; readonly awayMs: number },
): void {
  const world = state.world();
  const { machine, name } = world.node(fault.node);
  if (!machine.isUp) return;
  state.figures.count("drain");
  state.trace.add(`fault: ${name} drains`);
  void machine.drain(fault.graceMs).then(() => {
    world.clock.setTimer(() => void world.startNode(fault.node), fault.awayMs);
  });
}

function jumpClock(state: DriverState, machine: "hub" | number, byMs: number): void {
  const world = state.world();
  state.jumpedMs.set(machine, (state.jumpedMs.get(machine) ?? 0) + byMs);
  (machine === "hub" ? world.hub : world.node(machine).machine).jumpClock(byMs);
}

/** While clocks differ, a node refuses what the hub signs, also a cancel; it is sent again on the next connection. */
function mistrust({ world, reach }: DriverState, machine: "hub" | number): void {
  const { nodes } = world();
  const concerned = machine === "hub" ? nodes : nodes.slice(machine, machine + 1);
  for (const { name } of concerned) reach.setOnline(name, false);
}

/** Sets a clock right, as one that is told the time from outside. */
function setClockBack(state: DriverState, machine: "hub" | number): void {
  const offMs = state.jumpedMs.get(machine) ?? 0;
  if (offMs === 0) return;
  state.trace.add(`clock of ${machine} is right again`);
  jumpClock(state, machine, -offMs);
  // What was refused on a connection that was made meanwhile waits for the next one too.
  mistrust(state, machine);
}

/** Ends partitions, wrong clocks and pending crashes, and starts what is down. */
function healMachines(state: DriverState): void {
  const world = state.world();
  state.armed.clear();
  state.healAtMs.clear();
  for (const machine of state.jumpedMs.keys()) setClockBack(state, machine);
  for (const { wire } of world.nodes) wire.heal();
  void world.startHub();
  for (const index of world.nodes.keys()) void world.startNode(index);
}
