/** A node core over a scripted hub, a virtual clock and a state that can crash. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CortexError } from "@cortex-mesh/protocol";
import { createVirtualClock, type VirtualClock } from "@cortex-mesh/testing";
import { createNodeCore, type NodeCore } from "../../src/node/core.js";
import type { NodeCoreOptions } from "../../src/node/core-options.js";
import { createSpool, type Spool, type SpoolOptions } from "../../src/runner/spool.js";
import { createNoneDriver } from "../../src/sandbox/drivers/none.js";
import { echo } from "../../src/skills/echo.js";
import { shell } from "../../src/skills/shell.js";
import { createMemoryState, type MemoryState } from "../../src/state/memory-state.js";
import { createProbeSkill, type ProbeSkill } from "./probe-skill.js";
import { createScriptedHub, NODE_ID, type ScriptedHub } from "./scripted-hub.js";

/** A node under test. */
export interface TestNode extends AsyncDisposable {
  readonly hub: ScriptedHub;
  readonly clock: VirtualClock;
  readonly probe: ProbeSkill;
  readonly state: MemoryState;
  readonly spool: Spool;
  readonly core: NodeCore;
  readonly refused: readonly CortexError[];
  readonly events: readonly string[];
  readonly directory: string;
  /** Ends the process as a crash does and starts the next one over the same state; `between` runs in between. */
  crash(between?: () => void): Promise<void>;
}

/** Starts a node; disposing it removes everything. */
export async function startNode(
  options: Partial<NodeCoreOptions> = {},
  spoolOptions: Partial<SpoolOptions> = {},
): Promise<TestNode> {
  const directory = await mkdtemp(join(tmpdir(), "cortex-node-"));
  const clock = createVirtualClock();
  const hub = createScriptedHub(clock, join(directory, "workspaces"));
  const probe = createProbeSkill();
  const refused: CortexError[] = [];
  const events: string[] = [];
  let state = createMemoryState();
  let boots = 0;
  let parts = boot();

  function boot(): { readonly core: NodeCore; readonly spool: Spool } {
    boots += 1;
    const number = boots;
    const spool = createSpool({ directory: join(directory, "spool"), clock, ...spoolOptions });
    const core = createNodeCore({
      identity: hub.identity,
      key: hub.nodeKey,
      state,
      spool,
      skills: [probe.skill, shell(), echo()],
      drivers: new Map([["none", createNoneDriver({ nodeId: NODE_ID })]]),
      dial() {
        if (number !== boots) throw new CortexError("UNAVAILABLE", "this process is gone");
        return hub.dial();
      },
      clock,
      random: () => 0.5,
      randomBytes: (sizeBytes) => Uint8Array.from({ length: sizeBytes }, (_, at) => (at + boots) & 0xff),
      bootId: `boot-${boots}`,
      machine: { capabilities: () => ({}), figures: () => ({}) },
      hostEnv: process.env,
      sweep: async () => {},
      events: {
        online: () => void events.push("online"),
        offline: () => void events.push("offline"),
        connectFailed: (error) => void events.push(`connectFailed ${error.code}`),
        draining: () => void events.push("draining"),
        drainRequested: (graceMs) => void events.push(`drainRequested ${graceMs}`),
        refused: (error) => void refused.push(error),
      },
      ...options,
    });
    return { core, spool };
  }

  await parts.core.start();
  return {
    hub,
    clock,
    probe,
    get state() {
      return state;
    },
    get spool() {
      return parts.spool;
    },
    get core() {
      return parts.core;
    },
    refused,
    events,
    directory,
    async crash(between = () => {}) {
      state = state.crash();
      for (const connection of hub.connections) if (!connection.isOver) connection.cut();
      const old = parts;
      await old.spool.close().catch(() => {});
      between();
      parts = boot();
      // The old process is gone: nothing of it dials again.
      void closeWithTime(old.core, clock);
      await parts.core.start();
    },
    async [Symbol.asyncDispose]() {
      await closeWithTime(parts.core, clock);
      await parts.spool.close().catch(() => {});
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Closes a core whose waits are of a virtual clock. */
async function closeWithTime(core: NodeCore, clock: VirtualClock): Promise<void> {
  let isClosed = false;
  const closing = core.close().then(() => {
    isClosed = true;
  });
  for (let turn = 0; turn < 20 && !isClosed; turn += 1) await clock.advance(1_000);
  await closing;
}
