/** Puts a hub together from its rooms, bottom up. Nothing here listens or runs yet. */
import { type Clock, DEFAULT_POLICY, type IdSource } from "@cortex-mesh/protocol";
import { systemScope } from "./access/scope.js";
import { createFeedService } from "./feed/feed-service.js";
import { createGateway, type NodeGateway } from "./link/gateway.js";
import type { HubLogger } from "./hub.js";
import type { HubAuthority } from "./nodes/authority.js";
import { createNodeConnections, type NodeConnections } from "./nodes/connections.js";
import { createNodeDirectory } from "./nodes/directory.js";
import { createEnrolment, type Enrolment } from "./nodes/enrolment.js";
import { createInvites, type HubEndpoint } from "./nodes/invites.js";
import { systemRandom } from "./nodes/random.js";
import { createTokens, type Tokens } from "./nodes/tokens.js";
import type { HubServices } from "./operations/services.js";
import { createSessionService } from "./sessions/session-service.js";
import type { HubStore } from "./store/store.js";
import { createCancelAll } from "./tasks/cancel-all.js";
import { createTaskWriter, type TaskWriter } from "./tasks/commit.js";
import { createTaskService } from "./tasks/create-task-service.js";
import { createDeadlines, type DeadlineOptions, type Deadlines } from "./tasks/deadlines.js";
import { createInputRelay } from "./tasks/input.js";
import { isFinal } from "./tasks/machine.js";
import { createOutputReceiver, type OutputReceiver } from "./tasks/output.js";
import type { OutputFiles } from "./tasks/output-files.js";
import { createPlacement, listUnfinished, type Placement } from "./tasks/place.js";
import { createTaskReports } from "./tasks/reports.js";
import { createLocalWake } from "./wake/local.js";

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

/** Connects the rooms of a hub. */
export function createHubParts(options: HubPartsOptions): HubParts {
  const { store, files, authority, clock, ids, logger } = options;
  const wake = createLocalWake();
  const writer = createTaskWriter({ store, wake, clock });
  const connections = createNodeConnections();
  const onError = (error: unknown): void => logger.error({ err: error }, "an internal step failed");
  const output = createOutputReceiver({
    store,
    files,
    wake,
    onError: (error, source) => logger.error({ err: error, ...source }, "output could not be committed"),
  });
  const placement = createPlacement({ store, writer, connections, wake, onError });
  const deadlines = createDeadlines({ ...options.deadlines, writer, clock, onError });
  const input = createInputRelay({ connections, wake, current: (taskId) => store.tasks.get(systemScope, taskId) });
  writer.onCommit((_before, after) => {
    if (isFinal(after.state)) input.forget(after.taskId);
  });
  const reports = createTaskReports({
    store,
    writer,
    output,
    onLateReport: (source, reason) => logger.warn({ ...source, reason }, "a late report was not applied"),
  });
  const tokens = createTokens({ store, authority, clock });
  const enrolment = createEnrolment({
    store,
    authority,
    clock,
    ids,
    caPem: options.caPem,
    onEnrolled: ({ nodeId, ownerId }) => logger.info({ nodeId, ownerId }, "a node enrolled"),
    onSuspicious: (event) => logger.warn({ ...event }, "a spent invite was tried with another key"),
  });
  const gateway = createGateway({
    store,
    connections,
    writer,
    reports,
    output,
    input,
    wake,
    clock,
    onError,
    randomBytes: systemRandom,
    hubId: authority.hubId,
    grantKey: authority.grantKey,
    policy: DEFAULT_POLICY,
  });
  const services: HubServices = {
    clock,
    feed: createFeedService({ store, wake }),
    invites: createInvites({ store, authority, clock, ids, endpoint: options.endpoint }),
    nodes: createNodeDirectory({ store, connections, wake, clock }),
    sessions: createSessionService({
      store,
      wake,
      clock,
      ids,
      tasks: { cancelAll: createCancelAll({ store, writer, clock }) },
    }),
    tasks: createTaskService({ store, writer, placement, deadlines, input, files, connections, wake, ids, clock }),
  };
  const closeParts = { gateway, placement, deadlines, output };
  return {
    services,
    gateway,
    tokens,
    enrolment,
    connections,
    start: () => takeUp({ store, writer, placement, deadlines }),
    close: () => closeInOrder(closeParts),
  };
}

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
  for await (const task of listUnfinished(parts.store)) {
    if (task.state === "queued") {
      const request = await parts.store.tasks.request(systemScope, task.taskId);
      parts.deadlines.watch(task, request?.queueTimeoutMs);
    } else if (task.disconnected) parts.deadlines.watch(task, undefined);
    else await parts.writer.apply(task.taskId, { type: "disconnect" });
  }
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
