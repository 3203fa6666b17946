/**
 * The node of Cortex: dials a hub, verifies what it is asked, runs it and reports.
 *
 * @packageDocumentation
 */

export type { AttemptKey } from "./inbox/inbox.js";
export type { EnrolTransport } from "./link/enrol.js";
export type { HeartbeatFigures } from "./link/heartbeat.js";
export type { HubDial, HubTransport } from "./link/transport.js";
export { createNodeCore, type DrainRequestOptions, type NodeCore } from "./node/core.js";
export type { MachineFacts, NodeCoreEvents, NodeCoreOptions } from "./node/core-options.js";
export {
  type CortexNode,
  createNode,
  type NodeEvents,
  type NodeOptions,
  type NodeTask,
  type RunOptions,
} from "./node.js";
export type { DamagedLogs } from "./runner/damaged-logs.js";
export type { NodeReport } from "./runner/report.js";
export type { SendFlow } from "./runner/send-flow.js";
export { createSpool, type Spool, type SpooledLog, type SpoolOptions } from "./runner/spool.js";
export type { PlaceRequest, TaskPlace } from "./runner/workspace.js";
export type {
  ProcessExit,
  ProcessSpec,
  ProgramSpec,
  RunningProcess,
  SandboxDriver,
  TerminateOptions,
} from "./sandbox/driver.js";
export { createNoneDriver, type NoneDriverOptions } from "./sandbox/drivers/none.js";
export { type CloseInheritedOptions, closeInheritedDescriptors } from "./sandbox/inherited-descriptors.js";
export type { Pipe, PipePool } from "./sandbox/pipe-pool.js";
export type { EnforcedIsolation, IsolationReport } from "./sandbox/report.js";
export { echo, echoSkill } from "./skills/echo.js";
export type { NodeSkill, OutputStream, SkillInputSink, SkillRequest, StartedSkill } from "./skills/node-skill.js";
export { shell, shellSkill } from "./skills/shell.js";
export { type NodeIdentity, readIdentity, type StoredGrantKey, writeIdentity } from "./state/identity.js";
export {
  createMemoryState,
  type MemoryState,
  type MemoryStateOptions,
  type MemoryStateStep,
} from "./state/memory-state.js";
export type { AttemptRecord, AttemptState, NodeState, SettingName, StateTransaction } from "./state/node-state.js";
export { openSqliteState } from "./state/sqlite-state.js";
export { openStateDirectory, type StateDirectory } from "./state/state-directory.js";
