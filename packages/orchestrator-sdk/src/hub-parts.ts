/** Puts a hub together from its rooms, bottom up. Nothing here listens or runs yet. */
import { type Clock, CortexError, DEFAULT_POLICY, type IdSource, type NodeId } from "@cortex-mesh/protocol";
import { systemScope } from "./access/scope.js";
import { createFeedService } from "./feed/feed-service.js";
import { type HubListeners, watchFreezes, watchNodes, watchTasks } from "./hub-events.js";
import { createSafeLogger, type HubLogger } from "./hub-logger.js";
import { createGateway, type NodeGateway } from "./link/gateway.js";
import { LEASE_MS } from "./link/report-health.js";
import { type HubMetrics, SILENT_METRICS } from "./metrics/hub-metrics.js";
import { observeEnrolment, observeInvites, observeOutput, observeTasks, observeTokens } from "./metrics/observe.js";
import type { HubAuthority } from "./nodes/authority.js";
import { createNodeConnections, type NodeConnections } from "./nodes/connections.js";
import { createNodeDirectory } from "./nodes/directory.js";
import { createEnrolment, type Enrolment } from "./nodes/enrolment.js";
import { createInvites, type HubEndpoint } from "./nodes/invites.js";
import { type RandomSource, systemRandom } from "./nodes/random.js";
import { createTokens, type Tokens } from "./nodes/tokens.js";
import type { HubServices } from "./operations/services.js";
import { createSessionService } from "./sessions/session-service.js";
import type { TaskRecord } from "./store/records.js";
import type { HubStore } from "./store/store.js";
import { createCancelAll } from "./tasks/cancel-all.js";
import { createTaskWriter, type TaskWriter } from "./tasks/commit.js";
import { createTaskService } from "./tasks/create-task-service.js";
import { createDeadlines, type DeadlineOptions, type Deadlines } from "./tasks/deadlines.js";
import {
  createDisconnectBreaker,
  DEFAULT_BREAKER_LIMITS,
  type DisconnectBreaker,
  withBreaker,
} from "./tasks/disconnect-breaker.js";
import { createInputRelay, type InputRelay } from "./tasks/input.js";
import { ATTEMPT_STATES, listTasks, listUnfinished } from "./tasks/list-tasks.js";
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
  /** @default none are kept */
  readonly metrics?: HubMetrics | undefined;
  readonly deadlines?: DeadlineOptions | undefined;
  /** @default the system's random source */
  readonly random?: RandomSource | undefined;
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
  readonly breaker: DisconnectBreaker;
  readonly metrics: HubMetrics;
  readonly onError: (error: unknown) => void;
}

/** Connects the rooms of a hub. */
export function createHubParts(given: HubPartsOptions): HubParts {
  const { metrics = SILENT_METRICS } = given;
  const options: HubPartsOptions = {
    ...given,
    files: withRecentOutput(observeOutput(given.files, metrics)),
    logger: createSafeLogger(given.logger),
  };
  const { store, authority, clock, logger } = options;
  const wake = createLocalWake();
  const breaker = createBreaker(options);
  const base: Base = {
    wake,
    writer: createTaskWriter({ store, wake, clock }),
    connections: withBreaker(createNodeConnections(), breaker),
    breaker,
    metrics,
    onError: (error) => logger.error({ err: error }, "an internal step failed"),
  };
  watchTasks(base.writer, { logger, metrics });
  watchFreezes(breaker, { logger, metrics });
  metrics.watchConnections(() => base.connections.all());
  const taskParts = createTaskParts(options, base);
  const identity = createIdentity(options, base);
  const gateway = createGateway({
    ...base,
    ...taskParts,
    tokens: identity.tokens,
    store,
    clock,
    randomBytes: options.random ?? systemRandom,
    hubId: authority.hubId,
    grantKey: authority.grantKey,
    policy: DEFAULT_POLICY,
    watcher: watchNodes({ logger, metrics }),
  });
  return {
    services: createServices(options, base, taskParts),
    gateway,
    ...identity,
    connections: base.connections,
    start: () => takeUp({ store, writer: base.writer, breaker, listeners: { logger, metrics }, ...taskParts }),
    close: () => closeInOrder({ gateway, breaker, ...taskParts }),
  };
}

function createBreaker({ clock, deadlines = {} }: HubPartsOptions): DisconnectBreaker {
  const { maxFreezeMs = DEFAULT_BREAKER_LIMITS.maxFreezeMs, restartFreezeMs = DEFAULT_BREAKER_LIMITS.restartFreezeMs } =
    deadlines;
  return createDisconnectBreaker({ clock, limits: { windowMs: 2 * LEASE_MS, maxFreezeMs, restartFreezeMs } });
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
  const input = createInputRelay({
    connections,
    wake,
    clock,
    current: (taskId) => store.tasks.get(systemScope, taskId),
  });
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
      onLateReport(source, reason) {
        base.metrics.reportRefused();
        logger.warn({ ...source, reason }, "a late report was not applied");
      },
    }),
  };
}

function createIdentity(
  { store, authority, clock, ids, logger, caPem, random = systemRandom }: HubPartsOptions,
  { connections, metrics }: Base,
): Pick<HubParts, "tokens" | "enrolment"> {
  const tokens = createTokens({
    store,
    authority,
    clock,
    random,
    onNewEpoch(nodeId, epoch) {
      const connection = connections.get(nodeId);
      if (connection === undefined || connection.epoch >= epoch) return;
      connection.close(new CortexError("SUPERSEDED", "a newer connection of the node is on its way"));
    },
  });
  const enrolment = createEnrolment({
    store,
    authority,
    clock,
    ids,
    caPem,
    random,
    onEnrolled({ nodeId, ownerId }) {
      metrics.nodeEnrolled();
      logger.info({ nodeId, ownerId }, "a node enrolled");
    },
    onSuspicious: (event) => logger.warn({ ...event }, "a spent invite was tried with another key"),
  });
  return { tokens: observeTokens(tokens, metrics), enrolment: observeEnrolment(enrolment, metrics) };
}

function createServices(options: HubPartsOptions, base: Base, taskParts: TaskParts): HubServices {
  const { store, files, authority, clock, ids, logger, endpoint, random = systemRandom } = options;
  const { wake, writer, connections, breaker, metrics, onError } = base;
  const cancelAll = createCancelAll({ store, writer, clock });
  const sessions = createSessionService({ store, wake, clock, ids, tasks: { cancelAll } });
  return {
    clock,
    feed: createFeedService({ store, wake }),
    invites: observeInvites(createInvites({ store, authority, clock, ids, endpoint, random }), metrics),
    nodes: createNodeDirectory({
      store,
      connections,
      wake,
      clock,
      async onRevoked(nodeId) {
        logger.info({ nodeId }, "a node is revoked");
        breaker.left(nodeId);
        await loseAttemptsOf({ store, writer }, nodeId);
      },
    }),
    sessions: withTaskRemoval(sessions, { store, writer, files, onError }),
    tasks: observeTasks(createTaskService({ ...base, ...taskParts, store, files, ids, clock }), metrics),
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
  readonly breaker: DisconnectBreaker;
  readonly listeners: HubListeners;
}): Promise<void> {
  const { store, writer, deadlines } = parts;
  const missing = new Set<NodeId>();
  await countTasks(store, parts.listeners);
  const takeUpOne = async (task: TaskRecord): Promise<void> => {
    const request = await store.tasks.request(systemScope, task.taskId);
    deadlines.watch(task, request?.queueTimeoutMs);
    if (task.state === "queued" || task.nodeId === undefined) return;
    const node = await store.nodes.get(systemScope, task.nodeId);
    if (node?.revokedAtMs !== undefined) return loseAttemptsOf({ store, writer }, task.nodeId);
    missing.add(task.nodeId);
    if (!task.disconnected) await writer.apply(task.taskId, { type: "disconnect" });
  };
  let batch: Promise<void>[] = [];
  for await (const task of listUnfinished(store)) {
    batch.push(takeUpOne(task));
    if (batch.length < TAKE_UP_AT_ONCE) continue;
    await Promise.all(batch);
    batch = [];
  }
  await Promise.all(batch);
  parts.breaker.restarted(missing);
  await parts.placement.start();
}

/** Before any task changes: from here on the figures follow the changes. */
async function countTasks(store: HubStore, { logger, metrics }: HubListeners): Promise<void> {
  let unfinishedTasks = 0;
  for await (const task of listTasks(store, { states: ["queued", ...ATTEMPT_STATES, "indeterminate"] })) {
    metrics.taskFound(task);
    if (!isFinal(task.state)) unfinishedTasks += 1;
  }
  if (unfinishedTasks > 0) logger.info({ unfinishedTasks }, "the hub takes up the tasks that are not finished");
}

async function closeInOrder(parts: {
  readonly gateway: NodeGateway;
  readonly placement: Placement;
  readonly deadlines: Deadlines;
  readonly breaker: DisconnectBreaker;
  readonly output: OutputReceiver;
}): Promise<void> {
  parts.breaker.close();
  parts.deadlines.close();
  await parts.placement.close();
  await parts.gateway.close();
  await parts.output.close();
}
