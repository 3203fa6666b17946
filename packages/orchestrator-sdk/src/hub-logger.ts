/** Where a hub tells what happens; which logger that is, the host decides. */

/** Where a hub writes what happens; a `pino` logger fits. Nothing secret is ever handed to it. */
export interface HubLogger {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** Tells nobody. */
export const SILENT_LOGGER: HubLogger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
