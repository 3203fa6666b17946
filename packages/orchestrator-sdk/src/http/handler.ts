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
import { createEndpoint, type EndpointServices, type HttpEnvironment } from "./endpoint.js";
import { buildOpenApi } from "./openapi.js";
import { isHubFault, problemResponse } from "./problem.js";
import { jsonResponse } from "./respond.js";
import { listRoutes } from "./routes.js";

/** Where the API is. The second is the same without a version. */
export const API_BASES = ["/api/v1", "/api"] as const;

/** A request as it is named in a log. */
export interface RequestName {
  /** Also in the answer: `x-request-id`, and `instance` of a problem document. */
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
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
}

/** A fetch handler: mount it anywhere that speaks `Request` and `Response`. */
export type FetchHandler = (request: Request) => Promise<Response>;

/** Makes the handler. It never rejects. */
export function createHttpHandler(options: HttpHandlerOptions): FetchHandler {
  const { table, services, authenticate, isReady = () => true, closing } = options;
  const app = new Hono<HttpEnvironment>();
  const reportFault = createFaultReporter(options.onFault);
  const fail = (context: Context<HttpEnvironment>, error: unknown): Response => {
    reportFault(context, error);
    return problemResponse(error, { requestId: context.get("requestId") });
  };

  app.use(async (context, next) => {
    context.set("requestId", randomUUID());
    await next();
    const { headers } = context.res;
    headers.set("x-content-type-options", "nosniff");
    headers.set("cache-control", "no-store");
    headers.set("x-request-id", context.get("requestId"));
  });
  app.onError((error, context) => fail(context, error));
  app.notFound((context) => fail(context, nothingAt(context.req.path)));

  app.get("/healthz", () => jsonResponse(200, { status: "ok" }));
  app.get("/readyz", async () => {
    return (await isReady()) ? jsonResponse(200, { status: "ready" }) : jsonResponse(503, { status: "not ready" });
  });
  const description = buildOpenApi(table);
  for (const base of API_BASES) app.get(`${base}/openapi.json`, () => jsonResponse(200, description));

  // Everything that is registered after this needs a caller (A1).
  app.use("/api/*", async (context, next) => {
    const caller = await identify(authenticate, context.req.raw);
    if (caller === undefined) throw new CortexError("UNAUTHENTICATED", "send a token: Authorization: Bearer TOKEN");
    context.set("caller", caller);
    return next();
  });
  const endpoints: EndpointServices = { services, clock: services.clock, closing, reportFault };
  for (const { path, operations } of listRoutes(table)) {
    const endpoint = createEndpoint(operations, endpoints);
    for (const base of API_BASES) app.all(`${base}${path}`, endpoint);
  }
  return async (request) => app.fetch(request);
}

/** What a check of credentials may say to a client; anything else that it throws is a mistake of the host. */
const REFUSALS: ReadonlySet<string> = new Set(["UNAUTHENTICATED", "POLICY_DENIED", "QUOTA_EXCEEDED", "UNAVAILABLE"]);

async function identify(
  authenticate: HttpHandlerOptions["authenticate"],
  request: Request,
): Promise<Caller | undefined> {
  try {
    return await authenticate(request);
  } catch (cause) {
    if (isCortexError(cause) && REFUSALS.has(cause.code)) throw cause;
    throw new CortexError("INTERNAL", "authenticate() failed", { cause });
  }
}

function createFaultReporter(onFault: HttpHandlerOptions["onFault"]): EndpointServices["reportFault"] {
  return (context, error) => {
    if (!isHubFault(error)) return;
    const { method, path } = context.req;
    onFault?.(error, { requestId: context.get("requestId"), method, path });
  };
}

/** Longest path that is repeated to the caller. */
const MAX_PATH_CHARACTERS = 200;

function nothingAt(path: string): CortexError {
  return new CortexError("NOT_FOUND", `there is nothing at ${path.slice(0, MAX_PATH_CHARACTERS)}`);
}
