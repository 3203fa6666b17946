/**
 * `cortex-hub user add | list | remove`: through the hub where one runs, else in its store, also before its first start.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openSqliteStore } from "@cortex-mesh/orchestrator-sdk";
import { parseUserId } from "@cortex-mesh/protocol";
import { askHub, type ControlCall } from "./control-client.js";
import { EXIT, ExitError } from "./exit-status.js";
import { makeDirectory } from "./make-directory.js";
import { print, printJson, toTable } from "./print.js";
import { createUsers, type NewUser, type User, type Users } from "./users.js";

const DATABASE_FILE = "hub.db";

/** Makes a user and prints its token, once. */
export async function addUser(data: string, name: string): Promise<void> {
  parseUserId(name);
  // Everything in the data directory is the hub's own.
  process.umask(0o077);
  makeDirectory(data);
  const user = await withUsers<NewUser>(data, { method: "POST", path: "/users", body: { name } }, (users) =>
    users.add(name),
  );
  print({ event: "user", ...user }, `user ${user.name}\ntoken ${user.token}\n\nThe token is shown this once.`);
}

/** Prints the users. */
export async function listUsers(data: string): Promise<void> {
  assertUsed(data);
  const users = await withUsers<User[]>(data, { method: "GET", path: "/users" }, (store) => store.list());
  if (process.stdout.isTTY) {
    const rows = users.map(({ name, isAdmin, createdAt }) => [name, isAdmin ? "admin" : "", createdAt]);
    process.stdout.write(`${toTable([["NAME", "", "CREATED"], ...rows])}\n`);
  } else for (const user of users) printJson(user);
}

/** Removes a user; its token is worth nothing from then on. */
export async function removeUser(data: string, name: string): Promise<void> {
  assertUsed(data);
  const path = `/users/${encodeURIComponent(name)}`;
  await withUsers(data, { method: "DELETE", path }, (users) => users.remove(name));
  print(
    { event: "userRemoved", name },
    `removed ${name}; its nodes and sessions stay and belong to the next user of that name`,
  );
}

function assertUsed(data: string): void {
  if (existsSync(join(data, DATABASE_FILE))) return;
  throw new ExitError(EXIT.failed, `no hub ever used the data directory ${data} (--data names another one)`);
}

async function withUsers<T>(data: string, call: ControlCall, offline: (users: Users) => Promise<T>): Promise<T> {
  const answer = await askHub(data, call);
  if (answer !== undefined) return answer.value as T;
  const store = await openSqliteStore({ path: join(data, DATABASE_FILE) });
  try {
    return await offline(createUsers(store));
  } finally {
    await store.close();
  }
}
