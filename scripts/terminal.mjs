/**
 * Runs commands for the scripts of this repository and tells how long they take.
 *
 * Output of a step is kept back while it succeeds, and shown whole when it fails. Plain Node built-ins.
 */
import { spawn } from "node:child_process";

const IS_TERMINAL = process.stderr.isTTY === true;

/** How often a running step says that it still runs, where the line can't be rewritten. */
const REMIND_MS = 5_000;

/** Output kept of one command; the beginning of more is dropped. */
const MAX_KEPT_BYTES = 4 * 1024 * 1024;

/** A step failed and said why already; whoever catches it only sets the exit status. */
export class StepError extends Error {
  /**
   * @param {string} message
   * @param {string} [output]
   */
  constructor(message, output = "") {
    super(message);
    this.name = "StepError";
    this.output = output;
  }
}

/**
 * @typedef {object} RunOptions
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env]
 *
 * @typedef {object} RunResult
 * @property {number} status Exit status; 128 when a signal ended it, 127 when it could not start.
 * @property {string} output Both streams, in the order of arrival.
 */

/**
 * Runs a command to its end and keeps its output; never rejects.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<RunResult>}
 */
export function runQuietly(command, args, options = {}) {
  return new Promise((resolve) => {
    /** @type {Buffer[]} */
    const chunks = [];
    let sizeBytes = 0;
    /** @param {Buffer} chunk */
    const keep = (chunk) => {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      while (sizeBytes > MAX_KEPT_BYTES && chunks.length > 1) sizeBytes -= chunks.shift()?.length ?? 0;
    };
    const text = () => Buffer.concat(chunks).toString("utf8");
    const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.once("error", (error) => resolve({ status: 127, output: `${text()}${error.message}\n` }));
    child.once("close", (status) => resolve({ status: status ?? 128, output: text() }));
  });
}

/**
 * Like {@link runQuietly}, but a failure is thrown.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<string>} the output
 * @throws {StepError} with the whole output, when the exit status is not 0
 */
export async function run(command, args, options = {}) {
  const { status, output } = await runQuietly(command, args, options);
  if (status !== 0) throw new StepError(`\`${[command, ...args].join(" ")}\` ended with status ${status}`, output);
  return output;
}

/** @param {string} line */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Does one step and prints its name, its outcome and its seconds.
 *
 * @param {string} name
 * @param {() => Promise<string>} work Resolves with what was done, in a few words.
 */
export async function step(name, work) {
  const startedAtMs = performance.now();
  const seconds = () => `${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`;
  const label = `  ${name.padEnd(16)}`;
  const timer = setInterval(
    () => {
      if (IS_TERMINAL) process.stderr.write(`\r${label} … ${seconds()}`);
      else say(`${label} … ${seconds()}`);
    },
    IS_TERMINAL ? 200 : REMIND_MS,
  );
  if (IS_TERMINAL) process.stderr.write(`${label} …`);
  const clear = IS_TERMINAL ? "\r\u001b[K" : "";
  try {
    const outcome = await work();
    process.stderr.write(`${clear}${label} ${outcome} (${seconds()})\n`);
  } catch (error) {
    process.stderr.write(`${clear}${label} FAILED (${seconds()})\n`);
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/**
 * Runs a whole script: prints why it failed and sets the exit status.
 *
 * @param {() => Promise<void>} main
 */
export async function runScript(main) {
  try {
    await main();
  } catch (error) {
    if (error instanceof StepError) {
      if (error.output !== "") process.stderr.write(error.output.endsWith("\n") ? error.output : `${error.output}\n`);
      say(`error: ${error.message}`);
    } else {
      say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
    process.exitCode = 1;
  }
}
