import { type CortexError, isCortexError } from "../../src/errors.js";

/** Runs `work` and gives the CortexError it throws; undefined when it throws none. Other errors pass through. */
export function catchCortexError(work: () => unknown): CortexError | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (isCortexError(error)) return error;
    throw error;
  }
}
