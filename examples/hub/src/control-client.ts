/** Talks to a running hub through the control socket of its data directory. */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { CortexError, isCortexErrorCode } from "@cortex-mesh/protocol";
import { openControlAddress } from "./control-address.js";

/** How long a hub that is just starting is waited for. */
const START_WAIT_MS = 15_000;
const START_POLL_MS = 100;

/** What to ask. */
export interface ControlCall {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
}

/**
 * Asks the hub of a data directory; gives its answer, or undefined when no hub runs there.
 *
 * @throws {@link CortexError} what the hub refused.
 */
export async function askHub(directory: string, call: ControlCall): Promise<{ readonly value: unknown } | undefined> {
  const response = await send(directory, call);
  if (response === undefined) return undefined;
  let text = "";
  response.setEncoding("utf8");
  for await (const chunk of response as AsyncIterable<string>) text += chunk;
  return { value: JSON.parse(text) };
}

/** Follows lines of JSON until the hub ends them; undefined when no hub runs there. */
export async function followHub(directory: string, path: string): Promise<AsyncIterable<unknown> | undefined> {
  const response = await send(directory, { method: "GET", path });
  return response && readLines(response);
}

/** Leaving the loop ends the connection; one that breaks is an error, since the hub ends what it has told. */
async function* readLines(response: IncomingMessage): AsyncGenerator<unknown> {
  let rest = "";
  response.setEncoding("utf8");
  for await (const chunk of response as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line);
  }
}

async function send(directory: string, call: ControlCall): Promise<IncomingMessage | undefined> {
  for (const startedAtMs = performance.now(); ; ) {
    const response = await sendOnce(directory, call);
    if (response === undefined || response.statusCode === 200) return response;
    const problem = await readProblem(response);
    const isStarting = problem.code === "UNAVAILABLE" && performance.now() - startedAtMs < START_WAIT_MS;
    if (!isStarting) throw problem;
    await delay(START_POLL_MS);
  }
}

function sendOnce(directory: string, call: ControlCall): Promise<IncomingMessage | undefined> {
  return new Promise((resolve, reject) => {
    const address = openControlAddress(directory);
    const request = httpRequest(
      { socketPath: address.path, method: call.method, path: call.path, agent: false },
      resolve,
    );
    request.once("socket", (socket) => socket.once("connect", address.release).once("error", address.release));
    request.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ECONNREFUSED") resolve(undefined);
      else reject(error);
    });
    request.end(call.body === undefined ? undefined : JSON.stringify(call.body));
  });
}

async function readProblem(response: IncomingMessage): Promise<CortexError> {
  let text = "";
  response.setEncoding("utf8");
  for await (const chunk of response as AsyncIterable<string>) text += chunk;
  const { code, detail } = JSON.parse(text) as { readonly code: string; readonly detail: string };
  return new CortexError(isCortexErrorCode(code) ? code : "INTERNAL", detail);
}
