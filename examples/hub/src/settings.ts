/**
 * Settings of the hub: a YAML file, over it the environment, over it the flags. Reads only what it is handed.
 *
 * Each layer is checked by itself, so that a fault names where it is. An unknown key of the file is a fault, and so is an
 * unknown variable, less those that container platforms make from the name of a service.
 */
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { EXIT, ExitError } from "./exit-status.js";

/** How much is logged. */
export type LogLevel = z.output<typeof logLevel>;

/** All that `cortex-hub` can be told, complete. */
export interface HubSettings {
  /** Absolute. @default `$XDG_DATA_HOME/cortex-hub`, that is `~/.local/share/cortex-hub` */
  readonly data: string;
  /** `HOST:PORT` of the HTTP API. @default 127.0.0.1:8080 */
  readonly http: string;
  /** `HOST:PORT` that nodes dial. @default 127.0.0.1:50051 */
  readonly grpc: string;
  /** `HOST:PORT` written into invites; undefined for the bound one. */
  readonly advertise: string | undefined;
  /** @default false */
  readonly allowPlainHttp: boolean;
  /** @default info */
  readonly logLevel: LogLevel;
}

/** Flags of the command line, as they came. */
export interface HubFlags {
  readonly config?: string | undefined;
  readonly data?: string | undefined;
  readonly http?: string | undefined;
  readonly grpc?: string | undefined;
  readonly advertise?: string | undefined;
  readonly allowPlainHttp?: boolean | undefined;
}

/** Where settings come from. */
export interface SettingsSources {
  readonly flags: HubFlags;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
}

const ENV_PREFIX = "CORTEX_HUB_";
/** What container platforms set for a service of the program's name. */
const SERVICE_VARIABLE = /^CORTEX_HUB_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)$/;
const ENDPOINT = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):(\d{1,5})$/;

/** Whether `text` is `HOST:PORT`, an IPv6 host in brackets. */
export function isEndpoint(text: string): boolean {
  const port = ENDPOINT.exec(text)?.[1];
  return port !== undefined && Number(port) <= 65_535;
}

const endpointText = z.string().refine(isEndpoint, "is not HOST:PORT");
/** A bare port is one on loopback. */
const endpoint = z
  .union([z.int().min(0).max(65_535), endpointText], "is not HOST:PORT")
  .transform((value) => (typeof value === "number" ? `127.0.0.1:${value}` : value));
const logLevel = z.enum(["trace", "debug", "info", "warn", "error", "fatal"]);
const switchText = z.enum(["true", "false", "1", "0"]).transform((text) => text === "true" || text === "1");

const fileSchema = z.strictObject({
  data: z.string().min(1).optional(),
  http: endpoint.optional(),
  grpc: endpoint.optional(),
  advertise: endpointText.optional(),
  allowPlainHttp: z.boolean().optional(),
  log: z.strictObject({ level: logLevel.optional() }).optional(),
});

const envSchema = z.strictObject({
  CORTEX_HUB_CONFIG: z.string().optional(),
  CORTEX_HUB_DATA: z.string().optional(),
  CORTEX_HUB_HTTP: endpointText.optional(),
  CORTEX_HUB_GRPC: endpointText.optional(),
  CORTEX_HUB_ADVERTISE: endpointText.optional(),
  CORTEX_HUB_ALLOW_PLAIN_HTTP: switchText.optional(),
  CORTEX_HUB_LOG_LEVEL: logLevel.optional(),
});

const flagSchema = z.object({
  config: z.string().optional(),
  data: z.string().min(1).optional(),
  http: endpointText.optional(),
  grpc: endpointText.optional(),
  advertise: endpointText.optional(),
  allowPlainHttp: z.boolean().optional(),
});

/**
 * Merges the layers.
 *
 * @throws {@link ExitError} with status 64 for a flag, 65 for a variable, the file or a key in it; the message names it.
 */
export function readSettings(sources: SettingsSources): HubSettings {
  const flags = check(flagSchema, sources.flags, { status: EXIT.usage, nameOf: toFlagName });
  const set = Object.entries(sources.env).filter(
    ([name, value]) => name.startsWith(ENV_PREFIX) && !SERVICE_VARIABLE.test(name) && value !== "",
  );
  const env = check(envSchema, Object.fromEntries(set), {
    status: EXIT.badConfiguration,
    nameOf: (path) => path.join("."),
  });
  const configPath = flags.config ?? env.CORTEX_HUB_CONFIG;
  const file = configPath === undefined ? {} : readConfigFile(expandHome(configPath), sources.readFile);
  const fileData =
    file.data === undefined || configPath === undefined
      ? undefined
      : resolve(dirname(configPath), expandHome(file.data));
  const data = flags.data ?? env.CORTEX_HUB_DATA ?? fileData ?? defaultData(sources.env);
  return {
    data: resolve(expandHome(data)),
    http: flags.http ?? env.CORTEX_HUB_HTTP ?? file.http ?? "127.0.0.1:8080",
    grpc: flags.grpc ?? env.CORTEX_HUB_GRPC ?? file.grpc ?? "127.0.0.1:50051",
    advertise: flags.advertise ?? env.CORTEX_HUB_ADVERTISE ?? file.advertise,
    allowPlainHttp: flags.allowPlainHttp ?? env.CORTEX_HUB_ALLOW_PLAIN_HTTP ?? file.allowPlainHttp ?? false,
    logLevel: env.CORTEX_HUB_LOG_LEVEL ?? file.log?.level ?? "info",
  };
}

function readConfigFile(path: string, readFile: (path: string) => string): z.output<typeof fileSchema> {
  let content: unknown;
  try {
    content = parseYaml(readFile(path)) ?? {};
  } catch (error) {
    // The parser's later lines quote the file.
    const [reason] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw new ExitError(EXIT.badConfiguration, `${path}: ${reason ?? "cannot be read"}`);
  }
  const nameOf = (keys: readonly PropertyKey[]): string => (keys.length === 0 ? path : `${path}: ${keys.join(".")}`);
  return check(fileSchema, content, { status: EXIT.badConfiguration, nameOf });
}

interface Fault {
  readonly status: number;
  readonly nameOf: (path: readonly PropertyKey[]) => string;
}

/** Values stay out of the message: a mistyped one may be a secret. */
function check<Schema extends z.ZodType>(schema: Schema, value: unknown, fault: Fault): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue?.code === "unrecognized_keys") {
    throw new ExitError(fault.status, `${fault.nameOf([...issue.path, issue.keys[0] ?? ""])}: unknown key`);
  }
  throw new ExitError(fault.status, `${fault.nameOf(issue?.path ?? [])}: ${issue?.message ?? "is wrong"}`);
}

function toFlagName(path: readonly PropertyKey[]): string {
  return `--${String(path[0]).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function expandHome(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
}

function defaultData(env: SettingsSources["env"]): string {
  const base = env["XDG_DATA_HOME"];
  return join(base === undefined || base === "" ? join(homedir(), ".local/share") : base, "cortex-hub");
}
