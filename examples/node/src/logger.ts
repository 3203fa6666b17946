/** The log: to standard error, readable on a terminal, JSON lines otherwise. Secrets are cut out should one get here. */
import { destination, type Logger, pino } from "pino";
import pretty from "pino-pretty";
import type { LogLevel } from "./settings-schema.js";

const SECRET_KEYS = ["token", "invite", "secret", "authorization", "password"];
const STANDARD_ERROR = 2;

/** Makes the log of the program. */
export function createLogger(level: LogLevel): Logger {
  const options = {
    level,
    base: null,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: [...SECRET_KEYS, ...SECRET_KEYS.map((key) => `*.${key}`)],
  };
  // Written at once: the last lines before an exit are those that matter.
  if (!process.stderr.isTTY) {
    return pino(
      { ...options, timestamp: () => `,"time":"${new Date().toISOString()}"` },
      destination({ dest: STANDARD_ERROR, sync: true }),
    );
  }
  return pino(
    options,
    pretty({ destination: STANDARD_ERROR, sync: true, translateTime: "SYS:HH:MM:ss.l", colorize: true }),
  );
}
