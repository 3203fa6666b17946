/** Sessions and the nodes that are attached to them. */

import { z } from "zod";
import { parseId } from "@cortex-mesh/protocol/portable";
import type { SessionRecord } from "../store/records.js";
import { defineOperation, type OperationContext } from "./operation.js";
import { pageInput, pageOf, readPage } from "./resources/page.js";
import { type SessionResource, sessionResource, toSessionResource } from "./resources/session.js";

const attachment = { nodeId: z.string(), path: z.string().optional() };
const oneSession = z.strictObject({ sessionId: z.string() });

/** Opens a session, with nodes at once if wished. */
export const createSession = defineOperation({
  name: "createSession",
  method: "POST",
  path: "/sessions",
  summary: "Open a session",
  input: z.strictObject({
    name: z.string().optional(),
    nodes: z.array(z.strictObject(attachment)).max(1000).optional(),
  }),
  output: sessionResource,
  kind: "json",
  status: 201,
  rule: "user",
  async run(context, { name, nodes }) {
    const session = await context.services.sessions.create(context.caller, {
      name,
      nodes: nodes?.map(toAttachRequest),
    });
    return present(context, session);
  },
});

/** Lists the caller's sessions, oldest first. */
export const listSessions = defineOperation({
  name: "listSessions",
  method: "GET",
  path: "/sessions",
  summary: "List sessions",
  input: z.strictObject(pageInput),
  output: pageOf(sessionResource),
  kind: "json",
  rule: "user",
  async run(context, input) {
    const { caller, services } = context;
    const page = await readPage(
      input,
      (request) => services.sessions.list(caller, request),
      ({ sessionId }) => sessionId,
    );
    return { ...page, items: await presentAll(context, page.items) };
  },
});

/** Reads a session. */
export const getSession = defineOperation({
  name: "getSession",
  method: "GET",
  path: "/sessions/{sessionId}",
  summary: "Read a session",
  input: oneSession,
  output: sessionResource,
  kind: "json",
  rule: "owner",
  async run(context, { sessionId }) {
    return present(context, await context.services.sessions.get(context.caller, parseId("ses", sessionId)));
  },
});

/** Ends a session's tasks and removes it with all it had. */
export const deleteSession = defineOperation({
  name: "deleteSession",
  method: "DELETE",
  path: "/sessions/{sessionId}",
  summary: "Cancel a session's tasks and delete it",
  input: oneSession,
  output: z.void(),
  kind: "json",
  status: 204,
  rule: "owner",
  run: ({ caller, services }, { sessionId }) => services.sessions.remove(caller, parseId("ses", sessionId)),
});

/** Attaches a node. */
export const attachNode = defineOperation({
  name: "attachNode",
  method: "POST",
  path: "/sessions/{sessionId}/nodes",
  summary: "Attach a node to a session",
  input: z.strictObject({ sessionId: z.string(), ...attachment }),
  output: sessionResource,
  kind: "json",
  rule: "owner",
  async run(context, { sessionId, ...request }) {
    const { caller, services } = context;
    return present(
      context,
      await services.sessions.attach(caller, parseId("ses", sessionId), toAttachRequest(request)),
    );
  },
});

/** Detaches a node and ends the session's tasks there. */
export const detachNode = defineOperation({
  name: "detachNode",
  method: "DELETE",
  path: "/sessions/{sessionId}/nodes/{nodeId}",
  summary: "Detach a node from a session and cancel the session's tasks there",
  input: z.strictObject({ sessionId: z.string(), nodeId: z.string() }),
  output: sessionResource,
  kind: "json",
  rule: "owner",
  async run(context, { sessionId, nodeId }) {
    const { caller, services } = context;
    return present(context, await services.sessions.detach(caller, parseId("ses", sessionId), parseId("node", nodeId)));
  },
});

function toAttachRequest({ nodeId, path }: { readonly nodeId: string; readonly path?: string | undefined }) {
  return { nodeId: parseId("node", nodeId), path };
}

async function present(context: OperationContext, session: SessionRecord): Promise<SessionResource> {
  return toSessionResource(session, await statusesOf(context, [session]));
}

async function presentAll(context: OperationContext, sessions: readonly SessionRecord[]): Promise<SessionResource[]> {
  const statuses = await statusesOf(context, sessions);
  return sessions.map((session) => toSessionResource(session, statuses));
}

function statusesOf({ caller, services }: OperationContext, sessions: readonly SessionRecord[]) {
  const nodeIds = new Set(sessions.flatMap((session) => session.nodes.map(({ nodeId }) => nodeId)));
  return services.nodes.statuses(caller, [...nodeIds]);
}
