/** One path of the API: picks the operation by method, reads its input, runs it, answers. */
import type { Context } from "hono";
import { type Clock, CortexError } from "@cortex-mesh/protocol";
import type { Caller } from "../access/caller.js";
import { execute } from "../operations/execute.js";
import type { ByteContent, EventStream, Operation } from "../operations/operation.js";
import type { HubServices } from "../operations/services.js";
import { problemResponse, toProblem } from "./problem.js";
import { createInputReader, type InputReader } from "./request-input.js";
import { allowedMethods, bytesResponse, EVENT_STREAM_HEADERS, jsonResponse } from "./respond.js";
import { createSseBody, type SentEvent } from "./sse.js";
import { watchCaller } from "./watch-caller.js";

/** What is known of a request on its way. */
export interface HttpEnvironment {
  Variables: { requestId: string; caller: Caller; operation?: string };
}

/** What endpoints use. */
export interface EndpointServices {
  readonly services: HubServices;
  readonly clock: Clock;
  /** Ends event streams. */
  readonly closing: AbortSignal | undefined;
  /** Says again who a request is from. @throws CortexError when it is nobody any more. */
  readonly identify: (request: Request) => Promise<Caller>;
  /** Hears of faults of the hub. */
  readonly reportFault: (context: Context<HttpEnvironment>, error: unknown) => void;
  /** Hears of a client that follows events, and by the result when it does not any more. */
  readonly onReader?: (() => () => void) | undefined;
}

/** Answers requests to one path. */
export type Endpoint = (context: Context<HttpEnvironment>) => Promise<Response>;

/** Makes the endpoint of the operations that share a path. HEAD is GET without a body. */
export function createEndpoint(operations: readonly Operation[], endpoint: EndpointServices): Endpoint {
  const allow = allowedMethods(operations);
  const byMethod = new Map(operations.map((operation) => [operation.method as string, prepare(operation)]));
  return async (context) => {
    const { method } = context.req.raw;
    if (method === "OPTIONS") return new Response(null, { status: 204, headers: { allow } });
    const prepared = byMethod.get(method === "HEAD" ? "GET" : method);
    if (prepared !== undefined) return respond(prepared, context, endpoint);
    const error = new CortexError("BAD_REQUEST", `${method.slice(0, 20)} is not possible here; ${allow} are`);
    return problemResponse(error, { requestId: context.get("requestId"), status: 405, headers: { allow } });
  };
}

interface Prepared {
  readonly operation: Operation;
  readonly readInput: InputReader;
}

function prepare(operation: Operation): Prepared {
  return { operation, readInput: createInputReader(operation) };
}

async function respond(
  { operation, readInput }: Prepared,
  context: Context<HttpEnvironment>,
  endpoint: EndpointServices,
): Promise<Response> {
  const { services, clock, closing, reportFault, identify } = endpoint;
  const request = context.req.raw;
  const requestId = context.get("requestId");
  context.set("operation", operation.name);
  const input = await readInput(request, { pathFields: context.req.param(), clock });
  const caller = context.get("caller");
  // A reader that comes back while the hub closes must come back once more.
  if (operation.kind === "events" && closing?.aborted === true)
    throw new CortexError("UNAVAILABLE", "the hub is closing");
  const leave = createLeave(request.signal, operation.kind === "events" ? closing : undefined);
  const result = await execute(operation, { caller, services, signal: leave.signal }, input);
  switch (operation.kind) {
    case "json":
      return jsonResponse(operation.statusOf(result), result);
    case "bytes":
      return bytesResponse(result as ByteContent, {
        request,
        requestId,
        onFailure: (error) => reportFault(context, error),
      });
    case "events": {
      if (request.method === "HEAD") {
        leave.abort();
        return new Response(null, { headers: EVENT_STREAM_HEADERS });
      }
      countReader(leave.signal, endpoint.onReader);
      const toDocument = (error: unknown) => {
        reportFault(context, error);
        return toProblem(error, { requestId });
      };
      const identifyAgain = () =>
        identify(request).catch((error: unknown) => {
          reportFault(context, error);
          throw error;
        });
      watchCaller(caller, { identify: identifyAgain, clock, leave });
      const body = createSseBody(result as EventStream<SentEvent>, { clock, leave, toProblem: toDocument });
      return new Response(body, { headers: EVENT_STREAM_HEADERS });
    }
  }
}

/** A client that left while its stream was made is none: its signal tells nobody any more. */
function countReader(left: AbortSignal, onReader: EndpointServices["onReader"]): void {
  if (left.aborted) return;
  const onLeft = onReader?.();
  if (onLeft !== undefined) left.addEventListener("abort", onLeft, { once: true });
}

/** Aborts when one of the signals does; lets go of them when it aborted by itself. */
function createLeave(...signals: readonly (AbortSignal | undefined)[]): AbortController {
  const leave = new AbortController();
  const abort = (): void => leave.abort();
  for (const signal of signals) {
    if (signal?.aborted === true) abort();
    signal?.addEventListener("abort", abort, { once: true, signal: leave.signal });
  }
  return leave;
}
