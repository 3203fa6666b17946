/**
 * What a node lets tasks do, at most: the schema of a policy, its defaults and its one spelling.
 *
 * A policy is a ceiling, on the node and at the hub; what holds is the intersection of both (`intersect.ts`). A task asks
 * for less on its own (no network, say). An unknown key is an error: a rule that is misspelt must not be skipped.
 */
import { z } from "zod";
import { canonicalJson } from "../canonical-json.js";
import { sha256 } from "../encoding.js";
import { CortexError } from "../errors.js";
import { normalizeHostRules } from "./host-rules.js";
import { ISOLATION_LEVELS } from "./isolation-level.js";

/** Host rules in one policy: each task's egress is compared with all of them. */
export const MAX_HOST_RULES = 1000;
/** Denied environment names in one policy. */
export const MAX_DENIED_ENV = 1000;
/** A policy as JSON; it travels in a control message. */
export const MAX_POLICY_BYTES = 128 * 1024;

/** A DNS name or IPv4 address, or `*.` and a DNS name; stored in lower case. */
const host = z
  .string()
  .min(1)
  .max(255)
  .toLowerCase()
  .regex(
    /^([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?$|^\*(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*\.[a-z]([a-z0-9-]*[a-z0-9])?$/,
    "a host is a name, an IPv4 address, or *. and a name",
  );

const hostRule = z.strictObject({
  host,
  ports: z.array(z.number().int().min(1).max(65_535)).min(1).max(100).optional(),
});

const network = z
  .strictObject({
    mode: z.enum(["none", "open", "allow"]).default("open"),
    allow: z.array(hostRule).max(MAX_HOST_RULES).default([]),
  })
  .refine((value) => value.mode === "allow" || value.allow.length === 0, {
    path: ["allow"],
    message: 'hosts are listed only with mode "allow"',
  });

const count = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional();

const limits = z.strictObject({
  memBytes: count,
  cpuRatio: z.number().positive().optional(),
  pids: count,
  outputBytes: count,
  fileBytes: count,
  diskBytes: count,
  wallMs: count,
});

const envName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,254}\*?$|^\*$/, "a variable's name, or its beginning and *");

/**
 * A sandbox policy.
 *
 * - `mode`: `strict` makes destructive actions wait for consent. Default `permissive`.
 * - `level`: the least isolation a task runs in. Default `none`.
 * - `network`: the most a task may reach. Default `open`; a task that asks for nothing still gets none.
 * - `limits`: the most of each a task gets; absent means that the policy sets no limit.
 * - `env.deny`: variables a task may not set; `LD_*` stands for all that begin so. Default none.
 * - `maxTasks`: tasks at once.
 */
export const policySchema = z.strictObject({
  version: z.literal(1).default(1),
  mode: z.enum(["strict", "permissive"]).default("permissive"),
  level: z.enum(ISOLATION_LEVELS).default("none"),
  network: network.default({ mode: "open", allow: [] }),
  limits: limits.default({}),
  env: z.strictObject({ deny: z.array(envName).max(MAX_DENIED_ENV).default([]) }).default({ deny: [] }),
  maxTasks: count,
});

/** A complete policy, as it is hashed and enforced. */
export type Policy = z.output<typeof policySchema>;
/** A policy as it is written: everything has a default. */
export type PolicyInput = z.input<typeof policySchema>;

/** The policy that forbids nothing: `parsePolicy({})`. */
export const DEFAULT_POLICY: Policy = parsePolicy({});

/**
 * Reads a policy, fills in the defaults and gives its one spelling.
 *
 * @throws CortexError `BAD_REQUEST`, naming the key, for a value that is out of range or a key that is unknown.
 */
export function parsePolicy(value: unknown): Policy {
  const result = policySchema.safeParse(value);
  if (result.success) return normalizePolicy(result.data);
  const issue = result.error.issues[0];
  const path = ["policy", ...(issue?.path ?? [])].join(".");
  throw new CortexError("BAD_REQUEST", `${path}: ${issue?.message ?? "malformed"}`, { details: { path } });
}

/** Reads a policy from its JSON bytes. @throws CortexError `TOO_LARGE`, `BAD_REQUEST` */
export function parsePolicyBytes(bytes: Uint8Array): Policy {
  if (bytes.byteLength > MAX_POLICY_BYTES) {
    throw new CortexError("TOO_LARGE", `the policy has ${bytes.byteLength} bytes, the limit is ${MAX_POLICY_BYTES}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new CortexError("BAD_REQUEST", "policy: not JSON in UTF-8", { cause });
  }
  return parsePolicy(value);
}

/** Gives the one spelling of a policy: equal policies become equal values. */
export function normalizePolicy(policy: Policy): Policy {
  const allow = policy.network.mode === "allow" ? normalizeHostRules(policy.network.allow) : [];
  const mode = policy.network.mode === "allow" && allow.length === 0 ? "none" : policy.network.mode;
  return {
    ...policy,
    network: {
      mode,
      allow: allow.map(({ host: name, ports }) => (ports ? { host: name, ports: [...ports] } : { host: name })),
    },
    env: { deny: withoutCovered(policy.env.deny) },
  };
}

/** The canonical JSON of a policy in UTF-8: what travels, is hashed and is enforced. */
export function policyBytes(policy: Policy): Uint8Array {
  return Buffer.from(canonicalJson(normalizePolicy(policy)), "utf8");
}

/** SHA-256 of {@link policyBytes}; 32 bytes. */
export function policyHash(policy: Policy): Uint8Array {
  return sha256(policyBytes(policy));
}

/** Whether `name` is denied by `patterns`. */
export function isEnvDenied(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => isNameWithin(name, pattern));
}

function withoutCovered(patterns: readonly string[]): string[] {
  const unique = [...new Set(patterns)].sort();
  return unique.filter((pattern) => !unique.some((other) => other !== pattern && isNameWithin(pattern, other)));
}

/** Whether a name, or each name of a pattern, is one of `pattern`. */
function isNameWithin(name: string, pattern: string): boolean {
  return name === pattern || (pattern.endsWith("*") && name.startsWith(pattern.slice(0, -1)));
}
