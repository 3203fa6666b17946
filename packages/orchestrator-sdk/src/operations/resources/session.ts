/** The session as users see it. */

import { z } from "zod";
import type { NodeId } from "@cortex-mesh/protocol/portable";
import type { NodeStatus } from "../../nodes/directory.js";
import type { SessionRecord } from "../../store/records.js";
import { nodeStatus } from "./node.js";
import { time, toTime } from "./time.js";

/** Schema of a session. */
export const sessionResource = z.strictObject({
  sessionId: z.string(),
  revision: z.int(),
  name: z.string(),
  ownerId: z.string(),
  status: z.enum(["active", "closed"]),
  nodes: z.array(z.strictObject({ nodeId: z.string(), path: z.string(), state: nodeStatus, attachedAt: time })),
  parentId: z.string().nullable(),
  createdAt: time,
});

/** A session as users see it. */
export type SessionResource = z.output<typeof sessionResource>;

/** Makes the resource; a node without a status counts as offline. */
export function toSessionResource(session: SessionRecord, statuses: ReadonlyMap<NodeId, NodeStatus>): SessionResource {
  return {
    sessionId: session.sessionId,
    revision: session.revision,
    name: session.name,
    ownerId: session.ownerId,
    status: session.status,
    nodes: session.nodes.map(({ nodeId, path, attachedAtMs }) => ({
      nodeId,
      path,
      state: statuses.get(nodeId) ?? "offline",
      attachedAt: toTime(attachedAtMs),
    })),
    parentId: session.parentId ?? null,
    createdAt: toTime(session.createdAtMs),
  };
}
