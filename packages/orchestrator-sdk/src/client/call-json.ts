/** Calls with one JSON answer. */
import { CortexError } from "@cortex-mesh/protocol/portable";
import { fieldInHeader, type OperationDescription } from "../operations/description.js";
import { parseInput } from "../operations/parse-input.js";
import { IDEMPOTENCY_HEADER } from "../operations/wire.js";
import { parseAnswer } from "./answer.js";
import type { Call, ClientContext } from "./context.js";
import { type ClientRequest, toClientRequest } from "./request.js";
import { createRetryPolicy } from "./retry.js";

/**
 * Makes a call; repeats it while the hub cannot be reached, where that is safe.
 *
 * @throws CortexError of the hub; `UNAVAILABLE`, `TIMED_OUT`, `CANCELLED`; `INTERNAL` when the answer does not fit.
 */
export async function callJson(context: ClientContext, operation: OperationDescription, call: Call): Promise<unknown> {
  const { signal } = call;
  const request = toClientRequest(operation, withKey(operation, checked(operation, call.input)));
  const isRepeatable = request.method === "GET" || request.headers[IDEMPOTENCY_HEADER] !== undefined;
  const retry = createRetryPolicy({ ...context, signal });
  for (;;) {
    try {
      return parseAnswer(operation, await exchange(context, request, signal));
    } catch (error) {
      await retry.wait(error, isRepeatable ? context.callRetryMs : 0);
    }
  }
}

/** Checks an input as the hub will, so that the errors are the same ones and nothing is sent in vain. */
export function checked(operation: OperationDescription, input: unknown): Readonly<Record<string, unknown>> {
  parseInput(operation.input, input);
  return input as Readonly<Record<string, unknown>>;
}

/** A call that can have an idempotency key has one, so that its repeats are safe. */
function withKey(
  operation: OperationDescription,
  input: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const field = fieldInHeader(operation, IDEMPOTENCY_HEADER);
  return field === undefined || input[field] !== undefined ? input : { ...input, [field]: createKey() };
}

/** 128 random bits: no two calls share one. */
function createKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `auto-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

async function exchange(
  { transport }: ClientContext,
  request: ClientRequest,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const response = await transport.send(request, { signal });
  if (response.status === 204) return undefined;
  const text = await transport.read(response.text(), { signal, timeoutMs: transport.timeoutMs });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CortexError("INTERNAL", `${request.path}: the answer is not JSON; is this the URL of a hub?`, { cause });
  }
}
