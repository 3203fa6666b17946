/** What a node's core is made of and what it tells; see `core.ts`. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  Clock,
  CortexError,
  IsolationLevel,
  SigningKey,
  SkillDescription,
  SkillImplementation,
} from "@cortex-mesh/protocol";
import type { CapabilitiesSchema } from "@cortex-mesh/protocol/gen";
import type { HeartbeatFigures } from "../link/heartbeat.js";
import type { HubDial } from "../link/transport.js";
import type { NodeReport } from "../runner/report.js";
import type { Spool } from "../runner/spool.js";
import type { PlaceRequest, TaskPlace } from "../runner/workspace.js";
import type { SandboxDriver } from "../sandbox/driver.js";
import type { NodeSkill } from "../skills/node-skill.js";
import type { NodeIdentity } from "../state/identity.js";
import type { NodeState } from "../state/node-state.js";

/** What happens to a node. */
export interface NodeCoreEvents {
  /** The hub has welcomed the node. */
  online(): void;
  /** The connection is over; the node dials again. */
  offline(reason: CortexError | undefined): void;
  /** A dial failed; the next one comes after the wait. */
  connectFailed(error: CortexError, waitMs: number): void;
  /** The node takes nothing new. */
  draining(graceMs: number): void;
  /** The hub asks the node to drain and end. */
  drainRequested(graceMs: number): void;
  /** A grant that is not acted on. */
  refused(error: CortexError): void;
  /** Something was said to the hub about a task, whether or not it can be heard. @default nobody hears */
  reported?(report: NodeReport): void;
}

/** What the machine says about itself. */
export interface MachineFacts {
  /** What the node has and can do, with the skills that it runs. */
  capabilities(skills: readonly SkillDescription[]): MessageInitShape<typeof CapabilitiesSchema>;
  /** The figures of one heartbeat. */
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
  /** Bytes nobody can guess. */
  readonly randomBytes: (sizeBytes: number) => Uint8Array;
  /** New for each process. */
  readonly bootId: string;
  readonly machine: MachineFacts;
  /** Finds the directories of a task. @default those below the workspace root on this machine, made when missing */
  readonly preparePlace?: ((request: PlaceRequest) => Promise<TaskPlace>) | undefined;
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
