/**
 * One of the built programs as a child of the demonstration.
 *
 * It has a process group of its own, so that Ctrl-C in the terminal reaches only the demonstration, which ends its
 * children in order; and a channel, so that it ends by itself should the demonstration be killed.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { StepError } from "./terminal.mjs";
import { ROOT } from "./workspaces.mjs";

/** Lines of the log that are kept, to show when the program fails. */
const KEPT_LOG_LINES = 15;
/** How long a program may take to say that it is there. */
const EVENT_TIMEOUT_MS = 60_000;
/** How long a program may take to end before it is killed; longer than what it gives itself. */
const END_TIMEOUT_MS = 15_000;

/**
 * @typedef {object} Program
 * @property {(name: string) => Promise<Record<string, unknown>>} event Waits for a line of JSON with this `event`.
 * @property {() => number | null} exitStatus Null while it runs, and when a signal ended it.
 * @property {() => Promise<never>} failed Rejects when the program ends without being told to.
 * @property {() => Promise<void>} end Ends it, and kills it when that takes too long.
 */

/**
 * @param {"cortex-hub" | "cortex-node"} name
 * @param {readonly string[]} args
 * @param {{ signal: AbortSignal, env?: NodeJS.ProcessEnv }} options The signal ends waiting, not the program.
 * @returns {Program}
 */
export function startProgram(name, args, { signal, env = {} }) {
  const script = join(ROOT, "examples", name.replace("cortex-", ""), "bin", `${name}.js`);
  const child = spawn(process.execPath, [script, ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    detached: true,
  });
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new TypeError("both streams are pipes");
  const log = keepLastLines(stderr);
  let isEnding = false;
  /** @type {Promise<void>} */
  const ended = new Promise((resolve) => child.once("close", () => resolve()).once("error", () => resolve()));
  const failed = ended.then(() => {
    if (isEnding) return new Promise(() => {}); // nobody waits for a program that was told to end
    throw new StepError(`${name} ended (${child.signalCode ?? `status ${child.exitCode}`})`, `${log.join("\n")}\n`);
  });
  failed.catch(() => {}); // whoever asks hears of it
  const events = listenForEvents(stdout);
  return {
    event: (event) => Promise.race([events.next(event), failed, within(event, name, signal)]),
    exitStatus: () => child.exitCode,
    failed: () => /** @type {Promise<never>} */ (failed),
    async end() {
      isEnding = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

/**
 * @param {string} event
 * @param {string} name
 * @param {AbortSignal} signal
 * @returns {Promise<never>}
 */
function within(event, name, signal) {
  return new Promise((_, reject) => {
    const fail = (/** @type {string} */ reason) => reject(new StepError(`${name} ${reason}`));
    const timer = setTimeout(
      () => fail(`did not say "${event}" within ${EVENT_TIMEOUT_MS / 1000} s`),
      EVENT_TIMEOUT_MS,
    );
    timer.unref();
    signal.addEventListener("abort", () => fail("was not waited for any longer"), { once: true });
    if (signal.aborted) fail("was not waited for");
  });
}

/** @param {import("node:stream").Readable} stream */
function keepLastLines(stream) {
  /** @type {string[]} */
  const lines = [];
  createInterface({ input: stream }).on("line", (line) => {
    lines.push(line);
    if (lines.length > KEPT_LOG_LINES) lines.shift();
  });
  return lines;
}

/** @param {import("node:stream").Readable} stream */
function listenForEvents(stream) {
  /** @type {Map<string, Record<string, unknown>>} */
  const seen = new Map();
  /** @type {Map<string, (line: Record<string, unknown>) => void>} */
  const waiting = new Map();
  createInterface({ input: stream }).on("line", (text) => {
    /** @type {Record<string, unknown>} */
    const line = JSON.parse(text);
    const event = String(line["event"]);
    seen.set(event, line);
    waiting.get(event)?.(line);
  });
  return {
    /**
     * @param {string} event
     * @returns {Promise<Record<string, unknown>>}
     */
    next: (event) =>
      new Promise((resolve) => {
        const line = seen.get(event);
        if (line === undefined) waiting.set(event, resolve);
        else resolve(line);
      }),
  };
}
