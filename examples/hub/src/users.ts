/**
 * Users of this hub and their bearer tokens.
 *
 * A token is shown once, when it is made; the store has its SHA-256. It is found by that hash, so comparing takes no
 * secret-dependent time.
 */
import { createHash, randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { HubStore } from "@cortex-mesh/orchestrator-sdk";
import { CortexError, parseUserId } from "@cortex-mesh/protocol";

/** The user that the first start makes. */
export const ADMIN = "admin";
/** File in the data directory with the first token of {@link ADMIN}. */
export const ADMIN_TOKEN_FILE = "admin.token";

const TOKEN_PREFIX = "cxt_";
const TOKEN_BYTES = 32;
const MAX_TOKEN_CHARS = 128;
const PAGE_USERS = 1000;
/** In the store once the first start is over, so that a removed admin stays removed. */
const FIRST_START_KEY = "cortex-hub.first-start";

/** A user as it is listed. */
export interface User {
  readonly name: string;
  readonly isAdmin: boolean;
  /** ISO 8601. */
  readonly createdAt: string;
}

/** A new user with the one chance to read its token. */
export interface NewUser {
  readonly name: string;
  readonly token: string;
}

/** Manages the users in a store. */
export interface Users {
  /**
   * @throws {@link CortexError} `BAD_NAME` when the name is taken or is none; so it is for {@link ADMIN} before the first
   * start, which makes that user.
   */
  add(name: string): Promise<NewUser>;
  list(): Promise<User[]>;
  /** What the user owns stays, and belongs to the next user of the name. @throws {@link CortexError} `NOT_FOUND` */
  remove(name: string): Promise<void>;
  /** The name of the user whom a token belongs to. */
  findByToken(token: string): Promise<string | undefined>;
  /** Makes {@link ADMIN} on the first start, its token first in the file and then in the store. Whether it did. */
  makeAdmin(dataDirectory: string): Promise<boolean>;
}

/** The part of a store that users need. */
export type UserStore = Pick<HubStore, "users" | "keys" | "transaction">;

/** Makes the manager of the users in `store`. */
export function createUsers(store: UserStore, nowMs: () => number = Date.now): Users {
  return {
    add: (name) => add(store, name, nowMs()),
    list: () => list(store),
    async remove(name) {
      const isRemoved = await store.transaction((tx) => tx.users.remove(parseUserId(name)));
      if (!isRemoved) throw new CortexError("NOT_FOUND", `there is no user "${name}"`);
    },
    async findByToken(token) {
      if (!token.startsWith(TOKEN_PREFIX) || token.length > MAX_TOKEN_CHARS) return undefined;
      return (await store.users.byToken(hashOf(token)))?.userId;
    },
    makeAdmin: (dataDirectory) => makeAdmin(store, dataDirectory, nowMs()),
  };
}

/** The token of an `Authorization: Bearer …` header. */
export function bearerToken(header: string | null): string | undefined {
  return /^Bearer +([A-Za-z0-9._~+/=-]+) *$/i.exec(header ?? "")?.[1];
}

async function add(store: UserStore, name: string, createdAtMs: number): Promise<NewUser> {
  const userId = parseUserId(name);
  const token = makeToken();
  await store.transaction(async (tx) => {
    if (name === ADMIN && (await tx.keys.get(FIRST_START_KEY)) === undefined)
      throw new CortexError("BAD_NAME", `the first start of the hub makes the user "${ADMIN}"`);
    if ((await tx.users.get(userId)) !== undefined)
      throw new CortexError("BAD_NAME", `there is a user "${name}" already`);
    await tx.users.insert({ userId, tokenSha256: hashOf(token), isAdmin: false, createdAtMs });
  });
  return { name, token };
}

async function list(store: UserStore): Promise<User[]> {
  const users: User[] = [];
  for (let after: string | undefined; ; ) {
    const page = await store.users.list({ after, limit: PAGE_USERS });
    for (const { userId, isAdmin, createdAtMs } of page) {
      users.push({ name: userId, isAdmin, createdAt: new Date(createdAtMs).toISOString() });
    }
    after = page.at(-1)?.userId;
    if (page.length < PAGE_USERS) return users;
  }
}

async function makeAdmin(store: UserStore, dataDirectory: string, createdAtMs: number): Promise<boolean> {
  if ((await store.keys.get(FIRST_START_KEY)) !== undefined) return false;
  const userId = parseUserId(ADMIN);
  const token = makeToken();
  // A crash between the two leaves a token that nobody has, and the next start writes another one.
  await writeTokenFile(join(dataDirectory, ADMIN_TOKEN_FILE), token);
  await store.transaction(async (tx) => {
    await tx.users.insert({ userId, tokenSha256: hashOf(token), isAdmin: true, createdAtMs });
    await tx.keys.set(FIRST_START_KEY, Buffer.from(String(createdAtMs)));
  });
  return true;
}

/** Whole or not at all, and never readable by others, not even for a moment. */
async function writeTokenFile(path: string, token: string): Promise<void> {
  const draft = `${path}.new`;
  await rm(draft, { force: true });
  const file = await open(draft, "wx", 0o600);
  try {
    await file.writeFile(`${token}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
  const directory = await open(dirname(path), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function makeToken(): string {
  return TOKEN_PREFIX + randomBytes(TOKEN_BYTES).toString("base64url");
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
