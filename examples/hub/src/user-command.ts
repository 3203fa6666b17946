/**
 * `cortex-hub user add | list | remove`: through the hub where one runs, else in its store; never both.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openSqliteStore } from "@cortex-mesh/orchestrator-sdk";
import { askHub, type ControlCall } from "./control-client.js";
import { EXIT, ExitError } from "./exit-status.js";
import { print, printJson, toTable } from "./print.js";
import { createUsers, type NewUser, type User, type Users } from "./users.js";

const DATABASE_FILE = "hub.db";

/** Makes a user and prints its token, once. */
export async function addUser(data: string, name: string): Promise<void> {
  const user = await withUsers<NewUser>(data, { method: "POST", path: "/users", body: { name } }, (users) =>
    users.add(name),
  );
  print({ event: "user", ...user }, `user ${user.name}\ntoken ${user.token}\n\nThe token is shown this once.`);
}

/** Prints the users. */
export async function listUsers(data: string): Promise<void> {
  const users = await withUsers<User[]>(data, { method: "GET", path: "/users" }, (store) => store.list());
  if (process.stdout.isTTY) {
    const rows = users.map(({ name, isAdmin, createdAt }) => [name, isAdmin ? "admin" : "", createdAt]);
    process.stdout.write(`${toTable([["NAME", "", "CREATED"], ...rows])}\n`);
  } else for (const user of users) printJson(user);
}

/** Removes a user; its token is worth nothing from then on. */
export async function removeUser(data: string, name: string): Promise<void> {
  const path = `/users/${encodeURIComponent(name)}`;
  await withUsers(data, { method: "DELETE", path }, (users) => users.remove(name));
  print(
    { event: "userRemoved", name },
    `removed ${name}; its nodes and sessions stay and belong to the next user of that name`,
  );
}

async function withUsers<T>(data: string, call: ControlCall, offline: (users: Users) => Promise<T>): Promise<T> {
  const answer = await askHub(data, call);
  if (answer !== undefined) return answer.value as T;
  const path = join(data, DATABASE_FILE);
  if (!existsSync(path)) {
    throw new ExitError(
      EXIT.failed,
      `no hub was ever started with the data directory ${data} (--data names another one)`,
    );
  }
  const store = await openSqliteStore({ path });
  try {
    return await offline(createUsers(store));
  } finally {
    await store.close();
  }
}
