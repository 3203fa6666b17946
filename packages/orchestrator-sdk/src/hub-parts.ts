/** Puts a hub together from its rooms, bottom up. Nothing here listens or runs yet. */
import { type Clock, CortexError, DEFAULT_POLICY, type IdSource } from "@cortex-mesh/protocol";
import { systemScope } from "./access/scope.js";
import { createFeedService } from "./feed/feed-service.js";
import type { HubLogger } from "./hub-logger.js";
import { createGateway, type NodeGateway } from "./link/gateway.js";
import type { HubAuthority } from "./nodes/authority.js";
import { createNodeConnections, type NodeConnections } from "./nodes/connections.js";
import { createNodeDirectory } from "./nodes/directory.js";
import { createEnrolment, type Enrolment } from "./nodes/enrolment.js";
import { createInvites, type HubEndpoint } from "./nodes/invites.js";
import { systemRandom } from "./nodes/random.js";
import { createTokens, type Tokens } from "./nodes/tokens.js";
import type { HubServices } from "./operations/services.js";
import { createSessionService } from "./sessions/session-service.js";
import type { TaskRecord } from "./store/records.js";
import type { HubStore } from "./store/store.js";
import { createCancelAll } from "./tasks/cancel-all.js";
import { createTaskWriter, type TaskWriter } from "./tasks/commit.js";
import { createTaskService } from "./tasks/create-task-service.js";
import { createDeadlines, type DeadlineOptions, type Deadlines } from "./tasks/deadlines.js";
import { createInputRelay, type InputRelay } from "./tasks/input.js";
import { listUnfinished } from "./tasks/list-tasks.js";
import { loseAttemptsOf } from "./tasks/lose-all.js";
import { isFinal } from "./tasks/machine.js";
import { createOutputReceiver, type OutputReceiver } from "./tasks/output.js";
import type { OutputFiles } from "./tasks/output-files.js";
import { createPlacement, type Placement } from "./tasks/place.js";
import { withRecentOutput } from "./tasks/recent-output.js";
import { withTaskRemoval } from "./tasks/remove-tasks.js";
import { createTaskReports, type TaskReports } from "./tasks/reports.js";
import { createLocalWake } from "./wake/local.js";
import type { Wake } from "./wake/wake.js";

/** What the parts are made of. */
export interface HubPartsOptions {
  readonly store: HubStore;
  readonly files: OutputFiles;
  readonly authority: HubAuthority;
  readonly caPem: string | undefined;
  readonly endpoint: () => HubEndpoint;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly logger: HubLogger;
  readonly deadlines?: DeadlineOptions | undefined;
}

/** The rooms of a hub, connected. */
export interface HubParts {
  readonly services: HubServices;
  readonly gateway: NodeGateway;
  readonly tokens: Tokens;
  readonly enrolment: Enrolment;
  readonly connections: NodeConnections;
  /** Takes up what the store says is unfinished, then places tasks. */
  start(): Promise<void>;
  /** Lets go of the nodes and writes what is under way. */
  close(): Promise<void>;
}

/** What is shared by the rooms. */
interface Base {
  readonly wake: Wake;
  readonly writer: TaskWriter;
  readonly connections: NodeConnections;
  readonly onError: (error: unknown) => void;
}

/** Connects the rooms of a hub. */
export function createHubParts(given: HubPartsOptions): HubParts {
  const options: HubPartsOptions = { ...given, files: withRecentOutput(given.files) };
  const { store, authority, clock, logger } = options;
  const wake = createLocalWake();
  const base: Base = {
    wake,
    writer: createTaskWriter({ store, wake, clock }),
    connections: createNodeConnections(),
    onError: (error) => logger.error({ err: error }, "an internal step failed"),
  };
  const taskParts = createTaskParts(options, base);
  const gateway = createGateway({
    ...base,
    ...taskParts,
    store,
    clock,
    randomBytes: systemRandom,
    hubId: authority.hubId,
    grantKey: authority.grantKey,
    policy: DEFAULT_POLICY,
  });
  return {
    services: createServices(options, base, taskParts),
    gateway,
    ...createIdentity(options, base),
    connections: base.connections,
    start: () => takeUp({ store, writer: base.writer, ...taskParts }),
    close: () => closeInOrder({ gateway, ...taskParts }),
  };
}

interface TaskParts {
  readonly output: OutputReceiver;
  readonly placement: Placement;
  readonly deadlines: Deadlines;
  readonly input: InputRelay;
  readonly reports: TaskReports;
}

function createTaskParts({ store, files, clock, logger, ...options }: HubPartsOptions, base: Base): TaskParts {
  const { wake, writer, connections } = base;
  const output = createOutputReceiver({
    store,
    files,
    wake,
    clock,
    onError: (error, source) => logger.error({ err: error, ...source }, "output could not be committed"),
  });
  const input = createInputRelay({ connections, wake, current: (taskId) => store.tasks.get(systemScope, taskId) });
  const letGo = ({ taskId }: TaskRecord): void => {
    input.forget(taskId);
    output.drop(taskId);
  };
  writer.onCommit((before, after) => {
    // The attempt is over: nothing more is taken from it or handed to it.
    if (isFinal(after.state) || (before?.nodeId !== undefined && after.nodeId !== before.nodeId)) letGo(after);
  });
  writer.onForget(letGo);
  return {
    output,
    input,
    placement: createPlacement({ ...base, store, clock }),
    deadlines: createDeadlines({ ...base, ...options.deadlines, clock }),
    reports: createTaskReports({
      store,
      writer,
      output,
      onLateReport: (source, reason) => logger.warn({ ...source, reason }, "a late report was not applied"),
    }),
  };
}

function createIdentity(
  { store, authority, clock, ids, logger, caPem }: HubPartsOptions,
  { connections }: Base,
): Pick<HubParts, "tokens" | "enrolment"> {
  return {
    tokens: createTokens({
      store,
      authority,
      clock,
      onNewEpoch(nodeId, epoch) {
        const connection = connections.get(nodeId);
        if (connection === undefined || connection.epoch >= epoch) return;
        connection.close(new CortexError("SUPERSEDED", "a newer connection of the node is on its way"));
      },
    }),
    enrolment: createEnrolment({
      store,
      authority,
      clock,
      ids,
      caPem,
      onEnrolled: ({ nodeId, ownerId }) => logger.info({ nodeId, ownerId }, "a node enrolled"),
      onSuspicious: (event) => logger.warn({ ...event }, "a spent invite was tried with another key"),
    }),
  };
}

function createServices(options: HubPartsOptions, base: Base, taskParts: TaskParts): HubServices {
  const { store, files, authority, clock, ids, endpoint } = options;
  const { wake, writer, connections, onError } = base;
  const cancelAll = createCancelAll({ store, writer, clock });
  const sessions = createSessionService({ store, wake, clock, ids, tasks: { cancelAll } });
  return {
    clock,
    feed: createFeedService({ store, wake }),
    invites: createInvites({ store, authority, clock, ids, endpoint }),
    nodes: createNodeDirectory({
      store,
      connections,
      wake,
      clock,
      onRevoked: (nodeId) => loseAttemptsOf({ store, writer }, nodeId),
    }),
    sessions: withTaskRemoval(sessions, { store, writer, files, onError }),
    tasks: createTaskService({ ...base, ...taskParts, store, files, ids, clock }),
  };
}

/** Tasks that are taken up at once; one group commit takes about this many. */
const TAKE_UP_AT_ONCE = 64;

/**
 * Whatever ran when the hub stopped is without its node until the node says hello; the deadlines count from now, so that
 * the hub's own absence is never held against a node.
 */
async function takeUp(parts: {
  readonly store: HubStore;
  readonly writer: TaskWriter;
  readonly placement: Placement;
  readonly deadlines: Deadlines;
}): Promise<void> {
  const { store, writer, deadlines } = parts;
  const takeUpOne = async (task: TaskRecord): Promise<void> => {
    const request = await store.tasks.request(systemScope, task.taskId);
    deadlines.watch(task, request?.queueTimeoutMs);
    if (task.state === "queued" || task.nodeId === undefined) return;
    const node = await store.nodes.get(systemScope, task.nodeId);
    if (node?.revokedAtMs !== undefined) await loseAttemptsOf({ store, writer }, task.nodeId);
    else if (!task.disconnected) await writer.apply(task.taskId, { type: "disconnect" });
  };
  let batch: Promise<void>[] = [];
  for await (const task of listUnfinished(store)) {
    batch.push(takeUpOne(task));
    if (batch.length < TAKE_UP_AT_ONCE) continue;
    await Promise.all(batch);
    batch = [];
  }
  await Promise.all(batch);
  await parts.placement.start();
}

async function closeInOrder(parts: {
  readonly gateway: NodeGateway;
  readonly placement: Placement;
  readonly deadlines: Deadlines;
  readonly output: OutputReceiver;
}): Promise<void> {
  parts.deadlines.close();
  await parts.placement.close();
  await parts.gateway.close();
  await parts.output.close();
}
