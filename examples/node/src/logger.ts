/**
 * The log: to standard error, readable on a terminal, JSON lines otherwise.
 *
 * - L1 what comes from outside (names, messages of errors) cannot forge a line or steer a terminal.
 * - L2 no secret: nobody hands one over; what has the name or the form of one is cut out all the same.
 * - L3 of an error the fixed fields are written, never whatever else a library hung on it.
 */
import { destination, type Logger, pino } from "pino";
import { prettyFactory } from "pino-pretty";
import { isCortexError, toPrintable, withoutSecrets } from "@cortex-mesh/protocol";
import type { LogLevel } from "./settings-schema.js";

const SECRET_KEYS = ["token", "invite", "secret", "secrets", "authorization", "password", "env"];
const STANDARD_ERROR = 2;
/** Causes of an error that are told. */
const MAX_CAUSES = 4;

/** Where lines go. */
export interface LogSink {
  readonly isTerminal: boolean;
  /** Writes whole lines at once: the last ones before an exit are those that matter. */
  write(text: string): void;
}

/** Makes the log of the program. */
export function createLogger(level: LogLevel, sink: LogSink = standardError()): Logger {
  const options = {
    level,
    base: null,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: [...SECRET_KEYS, ...SECRET_KEYS.map((key) => `*.${key}`)],
    serializers: { err: (error: unknown) => toFacts(error) },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
  };
  const toText = sink.isTerminal ? createTerminalFormat() : toSafeLine;
  return pino(options, { write: (line) => sink.write(toText(line)) });
}

function standardError(): LogSink {
  const output = destination({ dest: STANDARD_ERROR, sync: true });
  return { isTerminal: process.stderr.isTTY === true, write: (text) => void output.write(text) };
}

function toSafeLine(line: string): string {
  return `${toPrintable(JSON.stringify(toSafe(JSON.parse(line), withoutSecrets)))}\n`;
}

function createTerminalFormat(): (line: string) => string {
  const format = prettyFactory({ translateTime: "SYS:HH:MM:ss.l", colorize: true });
  return (line) => format(toSafe(JSON.parse(line), toTerminalText)) ?? "";
}

/** The lines of a stack are the program's own and stay lines. */
function toTerminalText(text: string, key: string): string {
  const known = withoutSecrets(text);
  return key === "stack" ? known.split("\n").map(toPrintable).join("\n") : toPrintable(known);
}

/** All text in a value by itself, names too: in JSON as a whole a cut may go through an escape. */
function toSafe(value: unknown, toText: (text: string, key: string) => string, key = ""): unknown {
  if (typeof value === "string") return toText(value, key);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => toSafe(item, toText, key));
  return Object.fromEntries(
    Object.entries(value).map(([name, held]) => [toText(name, ""), toSafe(held, toText, name)]),
  );
}

/** The fields of an error and its causes. The stack is without the message, which may have lines of somebody else. */
function toFacts(error: unknown, depth = 0): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  const frames = error.stack?.split("\n").filter((line) => /^ {4}at /.test(line));
  return {
    type: error.name,
    code,
    message: error.message,
    ...(isCortexError(error) ? { details: error.details } : {}),
    stack: frames?.join("\n"),
    ...(error.cause === undefined || depth >= MAX_CAUSES ? {} : { cause: toFacts(error.cause, depth + 1) }),
  };
}
