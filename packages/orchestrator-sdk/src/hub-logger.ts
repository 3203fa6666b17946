/** Where a hub tells what happens; which logger that is, the host decides. */

/** Where a hub writes what happens; a `pino` logger fits. Nothing secret is ever handed to it. */
export interface HubLogger {
  /** For those who look for a fault. */
  debug(facts: object, message: string): void;
  /** Something an operator expects. */
  info(facts: object, message: string): void;
  /** Something an operator should look at. */
  warn(facts: object, message: string): void;
  /** A step failed. */
  error(facts: object, message: string): void;
}

/** Tells nobody. */
export const SILENT_LOGGER: HubLogger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
