/** The node as users see it. */
import { z } from "zod";
import type { NodeView } from "../../nodes/directory.js";
import { jsonObject } from "./json.js";
import { time, toTime } from "./time.js";

/** How a node stands. */
export const nodeStatus = z.enum(["online", "offline", "draining", "revoked"]);

/** Schema of a node. */
export const nodeResource = z.strictObject({
  nodeId: z.string(),
  revision: z.int(),
  name: z.string(),
  ownerId: z.string(),
  status: nodeStatus,
  /** What the node said it can do; empty before it registered. */
  capabilities: jsonObject,
  labels: z.record(z.string(), z.string()),
  version: z.string().nullable(),
  maxTasks: z.int(),
  createdAt: time,
  lastSeenAt: time.nullable(),
  /** Newest figures; null while it is not connected. */
  usage: z
    .strictObject({
      cpuRatio: z.number(),
      memoryRatio: z.number(),
      memoryFreeBytes: z.number(),
      loadAverage: z.number(),
      diskFreeBytes: z.number(),
      diskRatio: z.number(),
      runningTasks: z.int(),
      queuedTasks: z.int(),
      processRssBytes: z.number(),
    })
    .nullable(),
  connection: z.strictObject({
    epoch: z.int(),
    /** Null while it is not connected. */
    connectedAt: time.nullable(),
    reconnects: z.int(),
    roundTripMs: z.number().nullable(),
  }),
});

/** A node as users see it. */
export type NodeResource = z.output<typeof nodeResource>;

/** Makes the resource. */
export function toNodeResource({ record, status, usage, connection }: NodeView): NodeResource {
  return {
    nodeId: record.nodeId,
    revision: record.revision,
    name: record.name,
    ownerId: record.ownerId,
    status,
    capabilities: record.capabilities ?? {},
    labels: { ...record.labels },
    version: record.version ?? null,
    maxTasks: record.maxTasks,
    createdAt: toTime(record.createdAtMs),
    lastSeenAt: toTime(record.lastSeenAtMs),
    usage: usage === undefined ? null : toUsage(usage),
    connection: {
      epoch: connection?.epoch ?? record.epoch,
      connectedAt: toTime(connection?.connectedAtMs),
      reconnects: record.reconnects,
      roundTripMs: connection?.roundTripMs ?? null,
    },
  };
}

function toUsage(usage: NonNullable<NodeView["usage"]>): NonNullable<NodeResource["usage"]> {
  return {
    cpuRatio: usage.cpuRatio,
    memoryRatio: usage.memoryRatio,
    memoryFreeBytes: usage.memoryFreeBytes,
    loadAverage: usage.loadAverage,
    diskFreeBytes: usage.diskFreeBytes,
    diskRatio: usage.diskRatio,
    runningTasks: usage.runningTasks,
    queuedTasks: usage.queuedTasks,
    processRssBytes: usage.processRssBytes,
  };
}
