/**
 * Settings of the node: what `join` remembered, over it a YAML file, the environment, and the flags. Reads only what it is
 * handed.
 *
 * Each layer is checked by itself, so that a fault names where it is. An unknown key of the file is a fault, and so is an
 * unknown variable, less those that container platforms make from the name of a service.
 */
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parse as parseYaml } from "yaml";
import type { z } from "zod";
import { EXIT, ExitError } from "./exit-status.js";
import {
  ENV_PREFIX,
  envSchema,
  type FileSettings,
  fileSchema,
  type LogLevel,
  SERVICE_VARIABLE,
  UNSUPPORTED_KEYS,
} from "./settings-schema.js";

/** Settings that `join` keeps for `run`: all but the invite. Undefined where nothing was set. */
export interface RememberedSettings {
  /** `HOST:PORT` of the hub, in place of the one in the invite. */
  readonly hubAddress: string | undefined;
  /** SHA-256 of the hub's certificate authority, hex. */
  readonly caFingerprint: string | undefined;
  readonly name: string | undefined;
  readonly labels: Readonly<Record<string, string>> | undefined;
  /** Absolute. */
  readonly workspaceRoot: string | undefined;
  readonly maxTasks: number | undefined;
  readonly drainGraceMs: number | undefined;
  readonly maxRetries: number | undefined;
  readonly logLevel: LogLevel | undefined;
}

/** All that `cortex-node` can be told. */
export interface NodeSettings extends RememberedSettings {
  /** Used once, while the state directory has no identity. */
  readonly invite: string | undefined;
}

/** Flags of the command line, as they came. */
export interface NodeFlags {
  readonly config?: string | undefined;
  readonly state?: string | undefined;
  readonly workspace?: string | undefined;
  readonly name?: string | undefined;
}

/** Where settings come from. */
export interface SettingsSources {
  readonly flags: NodeFlags;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
  /** What an earlier `join` kept. */
  readonly remembered?: RememberedSettings | undefined;
}

/** Where workspaces live unless something else is said. */
export const DEFAULT_WORKSPACE_ROOT = "~/cortex";

/** The state directory: flag, environment, else `$XDG_STATE_HOME/cortex-node`, that is `~/.local/state/cortex-node`. */
export function stateDirectoryOf({ flags, env }: Pick<SettingsSources, "flags" | "env">): string {
  const base = textOf(env["XDG_STATE_HOME"]) ?? join(homedir(), ".local/state");
  return resolve(expandHome(textOf(flags.state) ?? textOf(env["CORTEX_NODE_STATE"]) ?? join(base, "cortex-node")));
}

/**
 * Merges the layers.
 *
 * @throws {@link ExitError} with status 65 for a variable, the file or a key in it; the message names it.
 */
export function readSettings(sources: SettingsSources): NodeSettings {
  const { flags, remembered } = sources;
  const set = Object.entries(sources.env).filter(
    ([name, value]) => name.startsWith(ENV_PREFIX) && !SERVICE_VARIABLE.test(name) && textOf(value) !== undefined,
  );
  const env = check(envSchema, Object.fromEntries(set), (path) => path.join("."));
  const configPath = flags.config ?? env.CORTEX_NODE_CONFIG;
  const file = configPath === undefined ? {} : readConfigFile(expandHome(configPath), sources.readFile);
  return {
    hubAddress: env.CORTEX_NODE_HUB_ADDRESS ?? file.hub?.address ?? remembered?.hubAddress,
    caFingerprint: env.CORTEX_NODE_HUB_CA_FINGERPRINT ?? file.hub?.caFingerprint ?? remembered?.caFingerprint,
    invite: env.CORTEX_NODE_HUB_INVITE ?? file.hub?.invite,
    name: flags.name ?? env.CORTEX_NODE_NAME ?? file.node?.name ?? remembered?.name,
    labels: env.CORTEX_NODE_LABELS ?? file.node?.labels ?? remembered?.labels,
    workspaceRoot:
      workspaceOf(flags.workspace ?? env.CORTEX_NODE_WORKSPACE_ROOT, file, configPath) ?? remembered?.workspaceRoot,
    maxTasks: env.CORTEX_NODE_LIMITS_MAX_TASKS ?? file.limits?.maxTasks ?? remembered?.maxTasks,
    drainGraceMs: env.CORTEX_NODE_DRAIN_GRACE_MS ?? file.drain?.graceMs ?? remembered?.drainGraceMs,
    maxRetries: env.CORTEX_NODE_RECONNECT_MAX_RETRIES ?? file.reconnect?.maxRetries ?? remembered?.maxRetries,
    logLevel: env.CORTEX_NODE_LOG_LEVEL ?? file.log?.level ?? remembered?.logLevel,
  };
}

/** `~` at the beginning is the home directory. */
export function expandHome(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
}

/** A path in the file is relative to the file. */
function workspaceOf(
  given: string | undefined,
  file: FileSettings,
  configPath: string | undefined,
): string | undefined {
  if (given !== undefined) return resolve(expandHome(given));
  const root = file.workspace?.root;
  return root === undefined || configPath === undefined ? undefined : resolve(dirname(configPath), expandHome(root));
}

function readConfigFile(path: string, readFile: (path: string) => string): FileSettings {
  let content: unknown;
  try {
    content = parseYaml(readFile(path)) ?? {};
  } catch (error) {
    // The parser's later lines quote the file, which may hold an invite.
    const [reason] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw new ExitError(EXIT.badConfiguration, `${path}: ${reason ?? "cannot be read"}`);
  }
  const nameOf = (keys: readonly PropertyKey[]): string => (keys.length === 0 ? path : `${path}: ${keys.join(".")}`);
  return check(fileSchema, takeUnsupported(content, path), nameOf);
}

/** Refuses keys whose feature this build lacks, and takes out those that say what happens anyway. */
function takeUnsupported(content: unknown, path: string): unknown {
  if (!isRecord(content)) return content;
  const copy: Record<string, unknown> = { ...content };
  for (const [key, harmless] of Object.entries(UNSUPPORTED_KEYS)) {
    const [section = "", name] = key.split(".");
    if (!Object.hasOwn(copy, section)) continue;
    const holder = copy[section];
    if (name === undefined) throw notSupported(path, key);
    if (!isRecord(holder) || !Object.hasOwn(holder, name)) continue;
    if (holder[name] !== harmless) throw notSupported(path, key, harmless);
    const { [name]: _, ...rest } = holder;
    copy[section] = rest;
  }
  for (const section of ["sandbox", "consent"]) {
    const holder = copy[section];
    if (isRecord(holder) && Object.keys(holder).length === 0) delete copy[section];
    else if (isRecord(holder)) throw unknownKey(`${path}: ${section}.${Object.keys(holder)[0] ?? ""}`);
  }
  return copy;
}

function notSupported(path: string, key: string, harmless?: unknown): ExitError {
  const only = harmless === undefined ? "" : `; only "${String(harmless)}" is taken`;
  return new ExitError(
    EXIT.badConfiguration,
    `${path}: ${key}: this build does not have it yet (NOT_SUPPORTED)${only}`,
  );
}

function unknownKey(name: string): ExitError {
  return new ExitError(EXIT.badConfiguration, `${name}: unknown key`);
}

/** Values stay out of the message: a mistyped one may be an invite. */
function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  nameOf: (path: readonly PropertyKey[]) => string,
): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue?.code === "unrecognized_keys") throw unknownKey(nameOf([...issue.path, issue.keys[0] ?? ""]));
  throw new ExitError(EXIT.badConfiguration, `${nameOf(issue?.path ?? [])}: ${issue?.message ?? "is wrong"}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
