/**
 * What a dispatch may say: strict at every level, sizes before meaning.
 *
 * The input of a skill is checked by the node, which has the skill's schema; the hub refuses only what is obviously wrong
 * for the skills that every node has.
 */

import { z } from "zod";
import {
  CortexError,
  MAX_IDEMPOTENCY_KEY_BYTES,
  MAX_PATH_BYTES,
  MAX_TASK_INPUT_BYTES,
} from "@cortex-mesh/protocol/portable";
import type { Json } from "../store/records.js";
import { json } from "./resources/json.js";

/** Longest time that can be asked for: what a timer can hold, 24 days. */
export const MAX_TIMEOUT_MS = 2 ** 31 - 1;
/** Entries of a list or a record in a dispatch. */
const MAX_ENTRIES = 1000;

/** A string that can be handed to a process. */
const text = z.string().regex(/^[^\0\p{Surrogate}]*$/u, "must have no NUL character and be valid Unicode");
const name = text.min(1).max(200);
const milliseconds = z.int().min(1).max(MAX_TIMEOUT_MS);
const bytes = z.int().min(1);
const terminalSize = z.int().min(1).max(65_535);
const level = z.enum(["none", "process", "workspace", "container", "vm"]);

const requires = z.strictObject({
  os: name.optional(),
  arch: name.optional(),
  tools: z.array(name).max(MAX_ENTRIES).optional(),
  labels: z.record(name, text.max(1000)).optional(),
  minMemoryBytes: bytes.optional(),
  minDiskBytes: bytes.optional(),
  gpu: z.boolean().optional(),
  sandbox: level.optional(),
});

const allowedHost = z.strictObject({
  host: name.max(253),
  ports: z.array(z.int().min(1).max(65_535)).max(MAX_ENTRIES).optional(),
});

const limits = z.strictObject({
  memBytes: bytes.optional(),
  cpuRatio: z.number().positive().optional(),
  pids: z.int().min(1).optional(),
  outputBytes: bytes.optional(),
  fileBytes: bytes.optional(),
  diskBytes: bytes.optional(),
  wallMs: milliseconds.optional(),
});

const sandbox = z.strictObject({
  level: level.optional(),
  network: z
    .union([z.enum(["none", "open"]), z.strictObject({ allow: z.array(allowedHost).max(MAX_ENTRIES) })])
    .optional(),
  limits: limits.optional(),
});

const environmentName = name.regex(/^[^=]+$/, 'must not contain "="');

/** Schema of a dispatch with the session it goes to. */
export const dispatchInput = z.strictObject({
  sessionId: z.string(),
  idempotencyKey: z
    .string()
    .min(1)
    .max(MAX_IDEMPOTENCY_KEY_BYTES)
    .regex(/^[\x21-\x7e]+$/, "must be printable ASCII without spaces")
    .optional(),
  skill: name,
  input: json,
  nodeId: z.string().optional(),
  requires: requires.optional(),
  cwd: text.max(MAX_PATH_BYTES).optional(),
  env: z.record(environmentName, text).default({}),
  secrets: z.array(name).max(MAX_ENTRIES).default([]),
  stdin: z.boolean().default(false),
  pty: z.strictObject({ columns: terminalSize, rows: terminalSize }).optional(),
  timeoutMs: milliseconds.optional(),
  queueTimeoutMs: milliseconds.optional(),
  effect: z.enum(["once", "idempotent"]).default("once"),
  sandbox: sandbox.optional(),
});

const COMMAND_OR_ARGV = 'input: the skill "shell" takes {command: "…"} or {argv: ["…", …]}';

/**
 * Refuses the input of a task when it is too large, or cannot be right for a skill that every node has.
 *
 * @throws CortexError `TOO_LARGE`, `BAD_REQUEST`
 */
export function assertSkillInput(skill: string, input: Json): void {
  const sizeBytes = Buffer.byteLength(JSON.stringify(input));
  if (sizeBytes > MAX_TASK_INPUT_BYTES) {
    throw new CortexError("TOO_LARGE", `input: ${sizeBytes} bytes of JSON, at most ${MAX_TASK_INPUT_BYTES} are taken`, {
      details: { field: "input", sizeBytes, maxBytes: MAX_TASK_INPUT_BYTES },
    });
  }
  if (skill === "shell" && !shellInput.safeParse(input).success) throw badInput(COMMAND_OR_ARGV);
  if (skill === "echo" && !echoInput.safeParse(input).success)
    throw badInput('input: the skill "echo" takes {text: "…"}');
}

const shellInput = z.union([
  z.strictObject({ command: text.min(1) }),
  z.strictObject({ argv: z.tuple([text.min(1)], text) }),
]);
const echoInput = z.strictObject({ text: z.string() });

function badInput(message: string): CortexError {
  return new CortexError("BAD_REQUEST", message, { details: { field: "input" } });
}
