/** The operations of a store on records: users, invites, nodes, sessions, small values. */
import type { UserId } from "@cortex-mesh/protocol";
import { checkPageLimit, revisionConflict } from "../refusal.js";
import { isVisible, type Scope } from "../scope.js";
import type { PageRequest, StoreTransaction } from "../store.js";
import { frozenCopy } from "./frozen-copy.js";
import type { MemoryView } from "./memory-state.js";
import type { TableView } from "./memory-table.js";

/** Users over one view. */
export function memoryUsers(view: MemoryView): StoreTransaction["users"] {
  return {
    get: async (userId) => view.users.get(userId),
    byToken: async (tokenSha256) => {
      const userId = view.userTokens.get(tokenSha256);
      return userId === undefined ? undefined : view.users.get(userId);
    },
    list: async (page) => takePage(view.users, page, () => true),
    insert: async (user) => {
      const isTaken = view.users.get(user.userId) ?? view.userTokens.get(user.tokenSha256);
      if (isTaken !== undefined) throw revisionConflict("user", user.userId);
      view.users.set(user.userId, frozenCopy(user));
      view.userTokens.set(user.tokenSha256, user.userId);
    },
    remove: async (userId) => {
      const user = view.users.get(userId);
      if (!user) return false;
      view.users.remove(userId);
      view.userTokens.remove(user.tokenSha256);
      return true;
    },
  };
}

/** Small named values over one view. */
export function memoryKeys(view: MemoryView): StoreTransaction["keys"] {
  return {
    get: async (name) => view.keys.get(name)?.slice(),
    set: async (name, value) => view.keys.set(name, Uint8Array.from(value)),
  };
}

/** What invites, nodes, sessions and tasks have in common. */
export interface OwnedRecord {
  readonly ownerId: UserId;
  readonly revision: number;
}

/** Invites, nodes or sessions over one table. */
export function memoryOwned<R extends OwnedRecord>(table: TableView<R>, noun: string, idOf: (record: R) => string) {
  return {
    get: async (scope: Scope, id: string): Promise<R | undefined> => visible(scope, table.get(id)),
    list: async (scope: Scope, page: PageRequest): Promise<R[]> =>
      takePage(table, page, (record) => isVisible(scope, record.ownerId)),
    insert: async (record: R): Promise<void> => {
      const id = idOf(record);
      if (table.get(id)) throw revisionConflict(noun, id);
      table.set(id, frozenCopy(record));
    },
    update: async (record: R): Promise<void> => {
      const id = idOf(record);
      if (!replaces(record, table.get(id))) throw revisionConflict(noun, id);
      table.set(id, frozenCopy(record));
    },
  };
}

/** Whether `record` is the next revision of `stored`; the owner of a record never changes. */
export function replaces(record: OwnedRecord, stored: OwnedRecord | undefined): boolean {
  return stored !== undefined && stored.revision === record.revision - 1 && stored.ownerId === record.ownerId;
}

/** The record, if the scope may see it. */
export function visible<R extends OwnedRecord>(scope: Scope, record: R | undefined): R | undefined {
  return record && isVisible(scope, record.ownerId) ? record : undefined;
}

/** The first rows of a page that `isWanted` takes. */
export function takePage<R>(table: TableView<R>, page: PageRequest, isWanted: (row: R) => boolean): R[] {
  checkPageLimit(page.limit);
  const taken: R[] = [];
  for (const row of table.rowsAfter(page.after ?? "")) {
    if (!isWanted(row)) continue;
    taken.push(row);
    if (taken.length === page.limit) break;
  }
  return taken;
}
