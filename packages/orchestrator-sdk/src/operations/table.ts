/** Every operation of a hub, by name. What is in here is in the in-process API, over HTTP and in its description. */
import { followEvents, followTask } from "./events.js";
import { createInvite, getInvite, listInvites, revokeInvite } from "./invites.js";
import { drainNode, getNode, listNodes, revokeNode } from "./nodes.js";
import type { OperationTable } from "./operation.js";
import { attachNode, createSession, deleteSession, detachNode, getSession, listSessions } from "./sessions.js";
import {
  cancelTask,
  dispatch,
  explainTask,
  getTask,
  listTasks,
  readTaskOutput,
  resolveTask,
  writeTaskInput,
} from "./tasks.js";

/** The table. */
export const operations = {
  createInvite,
  listInvites,
  getInvite,
  revokeInvite,
  listNodes,
  getNode,
  drainNode,
  revokeNode,
  createSession,
  listSessions,
  getSession,
  deleteSession,
  attachNode,
  detachNode,
  dispatch,
  getTask,
  listTasks,
  cancelTask,
  explainTask,
  resolveTask,
  writeTaskInput,
  readTaskOutput,
  followTask,
  followEvents,
} as const satisfies OperationTable;

/** Type of the table. */
export type Operations = typeof operations;
