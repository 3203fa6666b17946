/** The paths of a table, in the order in which they are tried: names before fields, so that `/nodes/invites` is no node. */
import type { Operation, OperationTable } from "../operations/operation.js";

/** One path with its operations, one a method. */
export interface Route {
  /** In the router's notation: `/tasks/:taskId`. */
  readonly path: string;
  readonly operations: readonly Operation[];
}

/**
 * Lists the routes of a table.
 *
 * @throws TypeError when two operations have the same method and path.
 */
export function listRoutes(table: OperationTable): Route[] {
  const byPath = new Map<string, Operation[]>();
  for (const operation of Object.values(table)) {
    for (const path of operation.paths.map(toRouterPath)) {
      const operations = byPath.get(path) ?? [];
      const other = operations.find(({ method }) => method === operation.method);
      if (other !== undefined) {
        throw new TypeError(`${operation.name} and ${other.name} are both ${operation.method} ${path}`);
      }
      byPath.set(path, [...operations, operation]);
    }
  }
  return [...byPath]
    .map(([path, operations]) => ({ path, operations }))
    .sort((left, right) => (rank(left.path) < rank(right.path) ? -1 : 1));
}

function toRouterPath(path: string): string {
  return path.replaceAll(/\{([A-Za-z]+)\}/g, ":$1");
}

/** Sorts names before fields at each level. */
function rank(path: string): string {
  return path
    .split("/")
    .map((segment) => (segment.startsWith(":") ? "\uffff" : segment))
    .join("/");
}
