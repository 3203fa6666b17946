/**
 * The demonstration behind `npm start`: a hub and a node of the built programs, one session, one command with live output.
 *
 *   node scripts/demo.mjs           stays until Ctrl-C
 *   node scripts/demo.mjs --exit    ends after the first task, with 0 when it succeeded
 *
 * State is in `.cortex/` of the clone; starting again continues it at the same addresses, while those are free.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, isCortexError } from "@cortex-mesh/orchestrator-sdk/client";
import { startProgram } from "./demo-program.mjs";
import { run, runScript, StepError, say } from "./terminal.mjs";
import { ROOT } from "./workspaces.mjs";

/** @typedef {import("./demo-program.mjs").Program} Program */
/** @typedef {ReturnType<typeof connect>} Api */
/** @typedef {{ http?: string, grpc?: string, nodeId?: string, sessionId?: string }} Memory */

const STATE = join(ROOT, ".cortex");
const DATA = join(STATE, "hub");
const NODE_STATE = join(STATE, "node");
const WORKSPACE = join(STATE, "workspace");
const MEMORY = join(STATE, "demo.json");
const TOKEN_FILE = join(DATA, "admin.token");
const CORTEX_NODE = join(ROOT, "examples/node/bin/cortex-node.js");

const COMMAND = 'uname -a; for i in 1 2 3; do echo "hello $i from Cortex"; sleep 0.3; done';
/** Exit status of `cortex-hub` when an address is taken. */
const ADDRESS_TAKEN = 69;
/** Exit status of `cortex-hub` when another hub has its data directory. */
const DATA_IN_USE = 73;

/** What runs and has to be ended, in the order of the start. @type {Program[]} */
const programs = [];
const stop = new AbortController();
/** Ends whatever call is under way. */
const options = { signal: stop.signal };

/** @returns {Memory} */
function readMemory() {
  try {
    return JSON.parse(readFileSync(MEMORY, "utf8"));
  } catch {
    return {}; // the first start, or a file that somebody edited
  }
}

/** @param {Memory} memory */
function writeMemory(memory) {
  writeFileSync(`${MEMORY}.new`, `${JSON.stringify(memory, undefined, 2)}\n`);
  renameSync(`${MEMORY}.new`, MEMORY);
}

/**
 * Starts the hub where it was before, or on free ports when those are taken.
 *
 * @param {Memory} memory
 * @returns {Promise<{ http: string, grpc: string }>}
 */
async function startHub({ http = "127.0.0.1:0", grpc = "127.0.0.1:0" }) {
  const hub = startProgram("cortex-hub", ["serve", "--data", DATA, "--http", http, "--grpc", grpc], {
    signal: stop.signal,
  });
  programs.push(hub);
  try {
    const ready = await hub.event("ready");
    return { http: new URL(String(ready["http"])).host, grpc: String(ready["grpc"]) };
  } catch (error) {
    if (hub.exitStatus() === DATA_IN_USE) say("  is `npm start` running already?");
    if (hub.exitStatus() !== ADDRESS_TAKEN || (http.endsWith(":0") && grpc.endsWith(":0"))) throw error;
    programs.splice(programs.indexOf(hub), 1);
    say(`  ${http} or ${grpc} is taken; using free ports`);
    return startHub({});
  }
}

/**
 * Runs the node that joined before, or lets a new one join.
 *
 * @param {Api} api
 * @param {Memory} memory
 * @param {string} grpc
 * @returns {Promise<string>} its id
 */
async function startNode(api, memory, grpc) {
  const isKnown = await isNodeKnown(api, memory.nodeId);
  if (!isKnown && existsSync(NODE_STATE)) {
    await run(process.execPath, [CORTEX_NODE, "leave", "--state", NODE_STATE]);
    rmSync(NODE_STATE, { recursive: true, force: true });
  }
  const env = { CORTEX_NODE_HUB_ADDRESS: grpc };
  const args = isKnown
    ? ["run", "--state", NODE_STATE]
    : [
        "join",
        (await api.createInvite({ name: "demo" }, options)).invite,
        "--state",
        NODE_STATE,
        "--workspace",
        WORKSPACE,
        "--name",
        "demo",
      ];
  const node = startProgram("cortex-node", args, { signal: stop.signal, env });
  programs.push(node);
  return String((await node.event("online"))["nodeId"]);
}

/**
 * @param {Api} api
 * @param {string | undefined} nodeId
 */
async function isNodeKnown(api, nodeId) {
  if (nodeId === undefined || !existsSync(join(NODE_STATE, "identity.key"))) return false;
  const node = await find(api.getNode({ nodeId }, options));
  return node !== undefined && node.status !== "revoked";
}

/**
 * Undefined when there is no such thing.
 *
 * @template T
 * @param {Promise<T>} call
 * @returns {Promise<T | undefined>}
 */
async function find(call) {
  try {
    return await call;
  } catch (error) {
    if (isCortexError(error) && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
}

/**
 * The session "demo" with the node attached.
 *
 * @param {Api} api
 * @param {string | undefined} sessionId
 * @param {string} nodeId
 * @returns {Promise<string>} its id
 */
async function openSession(api, sessionId, nodeId) {
  const found = sessionId === undefined ? undefined : await find(api.getSession({ sessionId }, options));
  if (found === undefined) return (await api.createSession({ name: "demo", nodes: [{ nodeId }] }, options)).sessionId;
  if (!found.nodes.some((node) => node.nodeId === nodeId)) {
    await api.attachNode({ sessionId: found.sessionId, nodeId }, options);
  }
  return found.sessionId;
}

/**
 * Runs the first command and prints what it prints, as it does.
 *
 * @param {Api} api
 * @param {string} sessionId
 */
async function runFirstTask(api, sessionId) {
  say(`\n$ ${COMMAND}`);
  const { taskId } = await api.dispatch({ sessionId, skill: "shell", input: { command: COMMAND } }, options);
  for await (const { event, data } of api.followTask({ taskId }, options)) {
    const out = event === "stdout" ? process.stdout : event === "stderr" ? process.stderr : undefined;
    out?.write(data.base64 === undefined ? (data.text ?? "") : Buffer.from(data.base64, "base64"));
  }
  const { state, error, result } = await api.getTask({ taskId }, options);
  if (state !== "succeeded")
    throw new StepError(`the first task ended as ${state}: ${JSON.stringify(error ?? result)}`);
  say(`the task ended as ${state}\n`);
}

/**
 * @param {string} http
 * @param {string} sessionId
 */
function explain(http, sessionId) {
  const quoted = `'${TOKEN_FILE.replaceAll("'", "'\\''")}'`;
  const base = `http://${http}/api/v1`;
  // The answer to the command; what goes on while it works is on standard error.
  process.stdout.write(`hub       http://${http}
token     ${TOKEN_FILE}
node      online, workspaces in ${WORKSPACE}

Run something on the node:

TOKEN=$(cat ${quoted}); TASK=$(curl -s -H "Authorization: Bearer $TOKEN" -H 'content-type: application/json' -d '{"skill":"shell","input":{"command":"date; ls -la"}}' ${base}/sessions/${sessionId}/dispatch | grep -o 'task_[0-9A-Z]*' | head -1); curl -sN -H "Authorization: Bearer $TOKEN" ${base}/tasks/$TASK/events

Tasks run at isolation level none in this build: a command can do whatever your user can.
`);
}

/** Ends what runs, the node before its hub. */
async function endPrograms() {
  for (const program of [...programs].reverse()) await program.end();
}

/** Rejects when a program ends by itself. */
function whenOneFails() {
  return Promise.race(programs.map((program) => program.failed()));
}

/** @param {boolean} isExiting */
async function demonstrate(isExiting) {
  mkdirSync(STATE, { recursive: true, mode: 0o700 });
  const memory = readMemory();
  const addresses = await startHub(memory);
  writeMemory({ ...memory, ...addresses });
  const api = connect(`http://${addresses.http}`, { token: readFileSync(TOKEN_FILE, "utf8").trim() });
  const nodeId = await startNode(api, memory, addresses.grpc);
  writeMemory({ ...memory, ...addresses, nodeId });
  const sessionId = await openSession(api, memory.sessionId, nodeId);
  writeMemory({ ...addresses, nodeId, sessionId });
  await Promise.race([runFirstTask(api, sessionId), whenOneFails()]);
  explain(addresses.http, sessionId);
  if (isExiting) return;
  say("\nCtrl-C ends both.");
  const stopped = new Promise((resolve) => stop.signal.addEventListener("abort", resolve, { once: true }));
  await Promise.race([stopped, whenOneFails()]);
}

/** @param {readonly string[]} args */
async function main(args) {
  const unknown = args.find((arg) => arg !== "--exit");
  if (unknown !== undefined) throw new StepError(`unknown argument ${unknown}; there is --exit`);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stop.abort());
  try {
    await demonstrate(args.includes("--exit"));
  } catch (error) {
    // What a stop cuts short is no failure.
    if (!stop.signal.aborted) throw error;
  } finally {
    await endPrograms();
  }
}

await runScript(() => main(process.argv.slice(2)));
