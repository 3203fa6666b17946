/**
 * The keys of the node's configuration file, and the variables that stand for them.
 *
 * Keys that belong to later releases are known by name, so that one who sets them learns that they would do nothing.
 */
import { z } from "zod";

const ENDPOINT = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):(\d{1,5})$/;

const endpoint = z.string().refine((text) => {
  const port = Number(ENDPOINT.exec(text)?.[1] ?? Number.NaN);
  return port >= 1 && port <= 65_535;
}, "is not HOST:PORT");

/** How much is logged. */
export const logLevel = z.enum(["trace", "debug", "info", "warn", "error", "fatal"]);
/** Type of {@link logLevel}. */
export type LogLevel = z.output<typeof logLevel>;

const label = z.string().min(1).max(1000);
const maxTasks = z.int().min(1).max(4096);
/** What a timer can hold. */
const graceMs = z
  .int()
  .min(0)
  .max(2 ** 31 - 1);
const maxRetries = z.int().min(0);
const fingerprint = z.string().regex(/^[0-9a-f]{64}$/, "is not 64 lower-case hex digits");

/** The configuration file. */
export const fileSchema = z.strictObject({
  hub: z
    .strictObject({
      address: endpoint.optional(),
      caFingerprint: fingerprint.optional(),
      invite: z.string().min(1).optional(),
    })
    .optional(),
  node: z
    .strictObject({ name: z.string().min(1).optional(), labels: z.record(z.string().min(1), label).optional() })
    .optional(),
  workspace: z.strictObject({ root: z.string().min(1).optional() }).optional(),
  limits: z.strictObject({ maxTasks: maxTasks.optional() }).optional(),
  drain: z.strictObject({ graceMs: graceMs.optional() }).optional(),
  reconnect: z.strictObject({ maxRetries: maxRetries.optional() }).optional(),
  log: z.strictObject({ level: logLevel.optional() }).optional(),
});

/** The configuration file as it is read. */
export type FileSettings = z.output<typeof fileSchema>;

/** Keys without their feature in this build, with the value that changes nothing (and is let through). */
export const UNSUPPORTED_KEYS: Readonly<Record<string, unknown>> = {
  "sandbox.level": "none",
  "sandbox.drivers": undefined,
  "sandbox.readOnly": undefined,
  policy: undefined,
  "consent.mode": "off",
  skills: undefined,
};

const fromText = (schema: z.ZodNumber) =>
  z
    .string()
    .regex(/^\d{1,10}$/, "is not a whole number")
    .transform(Number)
    .pipe(schema);

/** `key=value,key=value` */
const labelsText = z.string().transform((text, context) => {
  const pairs = text.split(",").map((pair) => /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(pair));
  if (pairs.some((pair) => pair === null)) {
    context.addIssue({ code: "custom", message: "is not KEY=VALUE,KEY=VALUE" });
    return z.NEVER;
  }
  return Object.fromEntries(pairs.map((pair) => [pair?.[1] ?? "", pair?.[2] ?? ""]));
});

/** The environment; one variable a key. */
export const envSchema = z.strictObject({
  CORTEX_NODE_CONFIG: z.string().optional(),
  CORTEX_NODE_STATE: z.string().optional(),
  CORTEX_NODE_HUB_ADDRESS: endpoint.optional(),
  CORTEX_NODE_HUB_CA_FINGERPRINT: fingerprint.optional(),
  CORTEX_NODE_HUB_INVITE: z.string().optional(),
  CORTEX_NODE_NAME: z.string().optional(),
  CORTEX_NODE_LABELS: labelsText.optional(),
  CORTEX_NODE_WORKSPACE_ROOT: z.string().optional(),
  CORTEX_NODE_LIMITS_MAX_TASKS: fromText(maxTasks).optional(),
  CORTEX_NODE_DRAIN_GRACE_MS: fromText(graceMs).optional(),
  CORTEX_NODE_RECONNECT_MAX_RETRIES: fromText(maxRetries).optional(),
  CORTEX_NODE_LOG_LEVEL: logLevel.optional(),
});

/** What all variables of the program begin with. */
export const ENV_PREFIX = "CORTEX_NODE_";
/** What container platforms set for a service of the program's name. */
export const SERVICE_VARIABLE =
  /^CORTEX_NODE_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)$/;
