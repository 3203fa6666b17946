/** Enrolled nodes. */
import type { Kysely } from "kysely";
import type { NodeRecord } from "../../records.js";
import type { NodeReads, NodeWrites } from "../../store.js";
import type { Executor } from "../executor.js";
import type { HubSchema } from "../schema.js";
import { createOwnedRecords } from "./owned-records.js";

/** Prepares the queries of the nodes table. */
export function createNodesTable(db: Kysely<HubSchema>): (executor: Executor) => NodeReads & NodeWrites {
  return createOwnedRecords<NodeRecord>(db, { table: "nodes", noun: "node", idOf: (node) => node.nodeId });
}
