/** What a node's core is made of and what it tells; see `core.ts`. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Clock, CortexError, SigningKey, SkillDescription, SkillImplementation } from "@cortex-mesh/protocol";
import type { CapabilitiesSchema } from "@cortex-mesh/protocol/gen";
import type { HeartbeatFigures } from "../link/heartbeat.js";
import type { HubDial } from "../link/transport.js";
import type { Spool } from "../runner/spool.js";
import type { SandboxDriver } from "../sandbox/driver.js";
import type { IsolationLevel } from "../sandbox/report.js";
import type { NodeSkill } from "../skills/node-skill.js";
import type { NodeIdentity } from "../state/identity.js";
import type { NodeState } from "../state/node-state.js";

/** What happens to a node. */
export interface NodeCoreEvents {
  online(): void;
  offline(reason: CortexError | undefined): void;
  connectFailed(error: CortexError, waitMs: number): void;
  draining(graceMs: number): void;
  /** The hub asks the node to drain and end. */
  drainRequested(graceMs: number): void;
  /** A grant that is not acted on. */
  refused(error: CortexError): void;
}

/** What the machine says about itself. */
export interface MachineFacts {
  capabilities(skills: readonly SkillDescription[]): MessageInitShape<typeof CapabilitiesSchema>;
  figures(runningTasks: number): HeartbeatFigures;
}

/** What a core is made of. */
export interface NodeCoreOptions {
  readonly identity: NodeIdentity;
  readonly key: SigningKey;
  readonly state: NodeState;
  readonly spool: Spool;
  readonly skills: readonly (NodeSkill | SkillImplementation)[];
  readonly drivers: ReadonlyMap<IsolationLevel, SandboxDriver>;
  readonly dial: HubDial;
  readonly clock: Clock;
  /** From 0, below 1. */
  readonly random: () => number;
  readonly randomBytes: (sizeBytes: number) => Uint8Array;
  /** New for each process. */
  readonly bootId: string;
  readonly machine: MachineFacts;
  readonly hostEnv: Readonly<Record<string, string | undefined>>;
  /** Ends what an earlier process left running. */
  readonly sweep: () => Promise<unknown>;
  readonly events: NodeCoreEvents;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** @default 64 */
  readonly maxTasks?: number | undefined;
  /** Level of a task that asks for none. @default "none" */
  readonly defaultLevel?: IsolationLevel | undefined;
  /** @default 1 GiB */
  readonly maxOutputBytes?: number | undefined;
  /** Dials in a row that may fail. @default for ever */
  readonly maxRetries?: number | undefined;
}
