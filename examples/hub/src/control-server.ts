/**
 * The control socket of a running hub: HTTP on a Unix socket in its data directory, for whoever may open that.
 *
 * It is bound before anything else is opened, so that who asks a hub that is starting gets an answer. The directory's lock is
 * held by then, so a socket that is in the way was left by a killed hub, and is replaced.
 */
import { chmod, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type DataLock, takeDataLock } from "@cortex-mesh/orchestrator-sdk";
import { CortexError, toCortexError } from "@cortex-mesh/protocol";
import { openControlAddress } from "./control-address.js";

/** A request that came in. */
export interface ControlRequest {
  /** Method and path: `DELETE /users/bob`. */
  readonly target: string;
  /** The JSON body; undefined without one. */
  readonly body: unknown;
  /** Aborts when the other side is gone. */
  readonly signal: AbortSignal;
}

/** One value, or lines of JSON as they come. */
export type ControlAnswer = { readonly value: unknown } | { readonly lines: AsyncIterable<unknown> };

/** Answers requests; what it throws becomes a problem document. */
export type ControlHandler = (request: ControlRequest) => Promise<ControlAnswer>;

/** A bound control socket. */
export interface ControlServer {
  /** The lock of the data directory, for the hub. */
  readonly lock: DataLock;
  /** Starts answering; until then requests are told to come again. */
  serve(handler: ControlHandler): void;
  /** Ends what is under way, removes the socket and gives up the lock. Idempotent. */
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 64 * 1024;

/**
 * Binds the control socket of a data directory that exists.
 *
 * @throws {@link CortexError} `STATE_IN_USE` when another hub uses the directory.
 */
export async function bindControlSocket(directory: string): Promise<ControlServer> {
  const lock = takeDataLock(directory);
  const address = openControlAddress(directory);
  let handler: ControlHandler | undefined;
  const server = createServer((request, response) => {
    answer(handler, request, response).catch(() => response.destroy());
  });
  try {
    await rm(address.path, { force: true });
    await listen(server, address.path);
    await chmod(address.path, 0o600);
  } catch (error) {
    server.close();
    address.release();
    lock.release();
    throw error;
  }
  let closing: Promise<void> | undefined;
  return {
    lock,
    serve(next) {
      handler = next;
    },
    close() {
      closing ??= new Promise<void>((resolve) => {
        server.close(() => {
          address.release();
          resolve();
        });
        server.closeAllConnections();
      }).then(() => lock.release());
      return closing;
    },
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function answer(
  handler: ControlHandler | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const left = new AbortController();
  response.once("close", () => left.abort());
  try {
    if (handler === undefined) throw new CortexError("UNAVAILABLE", "the hub is starting");
    const target = `${request.method ?? "GET"} ${request.url ?? "/"}`;
    const result = await handler({ target, body: await readBody(request), signal: left.signal });
    if ("value" in result) sendJson(response, 200, result.value);
    else await sendLines(response, result.lines);
  } catch (error) {
    const { code, message, httpStatus } = toCortexError(error);
    if (response.headersSent) response.destroy();
    else sendJson(response, httpStatus, { code, detail: message });
  }
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > MAX_BODY_BYTES) throw new CortexError("TOO_LARGE", `a body has at most ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  if (sizeBytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    throw new CortexError("BAD_REQUEST", "the body is no JSON", { cause: error });
  }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value ?? null));
}

async function sendLines(response: ServerResponse, lines: AsyncIterable<unknown>): Promise<void> {
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  response.flushHeaders();
  for await (const line of lines) {
    if (!response.write(`${JSON.stringify(line)}\n`)) await once(response);
  }
  response.end();
}

/** Resolves when the response takes more, or nobody reads it any more. */
function once(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.on("drain", done).on("close", done);
    if (response.destroyed) done();
  });
}
