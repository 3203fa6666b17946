/**
 * The HTTP API: one fetch handler, made from the operation table.
 *
 * Invariants:
 * - A1 below `/api` nothing is said about any resource before the caller is known; only the description of the API is open.
 * - A2 the size of a body is checked before it is parsed, and both after the caller is known.
 * - A3 a fault of the hub goes to `onFault` and never described to the client.
 */
import { randomUUID } from "node:crypto";
import { type Context, Hono } from "hono";
import { CortexError, isCortexError } from "@cortex-mesh/protocol";
import type { Caller } from "../access/caller.js";
import type { OperationTable } from "../operations/operation.js";
import type { HubServices } from "../operations/services.js";
import { API_BASES } from "../operations/wire.js";
import { createEndpoint, type EndpointServices, type HttpEnvironment } from "./endpoint.js";
import { buildOpenApi } from "./openapi.js";
import { isHubFault, problemResponse } from "./problem.js";
import { jsonResponse } from "./respond.js";
import { listRoutes } from "./routes.js";

/** A request as it is named in a log. */
export interface RequestName {
  /** Also in the answer: `x-request-id`, and `instance` of a problem document. */
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
}

/** A request that was answered. */
export interface AnsweredHttpRequest extends RequestName {
  /** Name of the operation; `none` where no operation was reached. */
  readonly operation: string;
  readonly status: number;
  /** Until the head of the answer; a stream goes on after that. */
  readonly durationMs: number;
}

/** What the handler is made of. */
export interface HttpHandlerOptions {
  readonly table: OperationTable;
  readonly services: HubServices;
  /** Who asks; `undefined` for nobody known. Must not read the body. What it throws is a fault, unless it refuses. */
  readonly authenticate: (request: Request) => Caller | undefined | Promise<Caller | undefined>;
  /** Whether the hub can do its work; for `/readyz`. @default always */
  readonly isReady?: () => boolean | Promise<boolean>;
  /** Ends event streams when the hub closes, so that clients go elsewhere. @default never */
  readonly closing?: AbortSignal | undefined;
  /** Hears of faults of the hub, with the request id that the client has. @default nobody does */
  readonly onFault?: ((error: unknown, request: RequestName) => void) | undefined;
  /** Hears of every answer. Must not throw. @default nobody does */
  readonly onAnswered?: ((request: AnsweredHttpRequest) => void) | undefined;
  /** Hears of every client that follows events, and by the result when it does not any more. @default nobody does */
  readonly onReader?: (() => () => void) | undefined;
  /** The figures at `/metrics`, for everybody who can connect. @default nothing is there */
  readonly readMetrics?: (() => Promise<{ readonly contentType: string; readonly text: string }>) | undefined;
}

/** A fetch handler: mount it anywhere that speaks `Request` and `Response`. */
export type FetchHandler = (request: Request) => Promise<Response>;

/** Makes the handler. It never rejects. */
export function createHttpHandler(options: HttpHandlerOptions): FetchHandler {
  const { table, services, authenticate, isReady = () => true, closing, readMetrics } = options;
  const app = new Hono<HttpEnvironment>();
  const reportFault = createFaultReporter(options.onFault);
  const fail = (context: Context<HttpEnvironment>, error: unknown): Response => {
    reportFault(context, error);
    return problemResponse(error, { requestId: context.get("requestId") });
  };

  app.use(async (context, next) => {
    const startedAtMs = services.clock.monotonicMs();
    context.set("requestId", randomUUID());
    await next();
    const { headers, status } = context.res;
    headers.set("x-content-type-options", "nosniff");
    headers.set("cache-control", "no-store");
    headers.set("x-request-id", context.get("requestId"));
    const durationMs = services.clock.monotonicMs() - startedAtMs;
    const operation = context.get("operation") ?? "none";
    options.onAnswered?.({ ...nameOf(context), operation, status, durationMs });
  });
  app.onError((error, context) => fail(context, error));
  app.notFound((context) => fail(context, nothingAt(context.req.path)));

  app.get("/healthz", () => jsonResponse(200, { status: "ok" }));
  app.get("/readyz", async () => {
    return (await isReady()) ? jsonResponse(200, { status: "ready" }) : jsonResponse(503, { status: "not ready" });
  });
  if (readMetrics !== undefined) {
    app.get("/metrics", async () => {
      const { contentType, text } = await readMetrics();
      return new Response(text, { headers: { "content-type": contentType } });
    });
  }
  const description = buildOpenApi(table);
  for (const base of API_BASES) app.get(`${base}/openapi.json`, () => jsonResponse(200, description));

  // Everything that is registered after this needs a caller (A1).
  app.use("/api/*", async (context, next) => {
    context.set("caller", await identify(authenticate, context.req.raw));
    return next();
  });
  const endpoints: EndpointServices = {
    services,
    clock: services.clock,
    closing,
    identify: (request) => identify(authenticate, request),
    reportFault,
    onReader: options.onReader,
  };
  for (const { path, operations } of listRoutes(table)) {
    const endpoint = createEndpoint(operations, endpoints);
    for (const base of API_BASES) app.all(`${base}${path}`, endpoint);
  }
  return async (request) => app.fetch(request);
}

/** What a check of credentials may say to a client; anything else that it throws is a mistake of the host. */
const REFUSALS: ReadonlySet<string> = new Set(["UNAUTHENTICATED", "POLICY_DENIED", "QUOTA_EXCEEDED", "UNAVAILABLE"]);

async function identify(authenticate: HttpHandlerOptions["authenticate"], request: Request): Promise<Caller> {
  let caller: Caller | undefined;
  try {
    caller = await authenticate(request);
  } catch (cause) {
    if (isCortexError(cause) && REFUSALS.has(cause.code)) throw cause;
    throw new CortexError("INTERNAL", "authenticate() failed", { cause });
  }
  if (caller !== undefined) return caller;
  throw new CortexError("UNAUTHENTICATED", "send a token: Authorization: Bearer TOKEN");
}

function createFaultReporter(onFault: HttpHandlerOptions["onFault"]): EndpointServices["reportFault"] {
  return (context, error) => {
    if (!isHubFault(error)) return;
    onFault?.(error, nameOf(context));
  };
}

function nameOf(context: Context<HttpEnvironment>): RequestName {
  const { method, path } = context.req;
  return { requestId: context.get("requestId"), method, path };
}

/** Longest path that is repeated to the caller. */
const MAX_PATH_CHARACTERS = 200;

function nothingAt(path: string): CortexError {
  return new CortexError("NOT_FOUND", `there is nothing at ${path.slice(0, MAX_PATH_CHARACTERS)}`);
}
