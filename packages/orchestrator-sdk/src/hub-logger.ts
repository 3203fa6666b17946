/** Where a hub tells what happens; which logger that is, the host decides. */

/** Where a hub writes what happens; a `pino` logger fits. Nothing secret is ever handed to it; what it throws is dropped. */
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

/** A logger of the host that cannot fail: what happens goes on, whoever could not write it down. */
export function createSafeLogger(logger: HubLogger): HubLogger {
  const tell =
    (level: keyof HubLogger) =>
    (facts: object, message: string): void => {
      try {
        const told: unknown = logger[level](facts, message);
        // A logger that fails has nobody to tell, and must not end what it is told of.
        if (told instanceof Promise) told.catch(() => undefined);
      } catch {
        // There is nobody else to tell.
      }
    };
  return { debug: tell("debug"), info: tell("info"), warn: tell("warn"), error: tell("error") };
}
