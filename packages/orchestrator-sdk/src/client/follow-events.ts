/**
 * Events over as many connections as it takes.
 *
 * Invariants:
 * - F1 each event comes once, in order, without a gap: a new connection asks for what follows the last event, or, when there
 *   was none, for what follows the place where the first connection began.
 * - F2 it ends when the hub says that nothing follows, when the caller withdraws, and with the error of a refusal.
 *   A token that ran out on a connection is no refusal where the next one is asked for: the next connection has it.
 * - F3 an event that is cut off half-way was never there.
 */
import { CortexError, isCortexError } from "@cortex-mesh/protocol/portable";
import { fieldInHeader, type OperationDescription } from "../operations/description.js";
import { LAST_EVENT_HEADER } from "../operations/wire.js";
import { parseAnswer } from "./answer.js";
import { checked } from "./call-json.js";
import type { Call, ClientContext } from "./context.js";
import { readEventStream, type StreamItem } from "./event-stream.js";
import { type ClientRequest, toClientRequest } from "./request.js";
import { createRetryPolicy, isTransient } from "./retry.js";

/** A connection that lasted this long did its work, even when nothing happened on it. */
const HEALTHY_AFTER_MS = 1_000;

/**
 * Follows; connects when it is first read. Operations without a field for `last-event-id` cannot be resumed: a cut is an error.
 *
 * @throws CortexError of the hub; `UNAVAILABLE` when it cannot be reached for too long.
 */
export async function* followEvents(
  context: ClientContext,
  operation: OperationDescription,
  { input, signal }: Call,
): AsyncGenerator<unknown> {
  const { clock } = context;
  const isLeft = (): boolean => signal?.aborted === true;
  if (isLeft()) return;
  const request = toClientRequest(operation, checked(operation, input));
  const canResume = fieldInHeader(operation, LAST_EVENT_HEADER) !== undefined;
  const retry = createRetryPolicy({ ...context, signal });
  let lastId: string | undefined;
  let budgetMs = context.callRetryMs;
  for (;;) {
    let connectedAtMs: number | undefined;
    try {
      for await (const item of connectOnce(context, resumeAfter(request, lastId), signal)) {
        connectedAtMs ??= clock.monotonicMs();
        if (item === "connected") {
          budgetMs = canResume ? context.streamRetryMs : 0;
          continue;
        }
        if (item.type === "end") return;
        if (item.type === "start") lastId ??= item.id;
        else {
          const event = toEvent(operation, item);
          lastId = item.id;
          retry.reset();
          yield event;
        }
      }
    } catch (error) {
      if (isLeft()) return;
      if (connectedAtMs !== undefined && clock.monotonicMs() - connectedAtMs >= HEALTHY_AFTER_MS) retry.reset();
      const canPass = isTransient(error) || (connectedAtMs !== undefined && isTokenOver(context, error));
      await retry.wait(error, budgetMs, canPass).catch((failure: unknown) => {
        if (!isLeft()) throw failure;
      });
      if (isLeft()) return;
    }
  }
}

/** Whether the hub sent a reader away whose next request has another token. */
function isTokenOver({ transport }: ClientContext, error: unknown): boolean {
  return transport.isTokenAsked && isCortexError(error) && error.code === "UNAUTHENTICATED";
}

/** One connection, closed when it is left. */
async function* connectOnce(
  { transport }: ClientContext,
  request: ClientRequest,
  signal: AbortSignal | undefined,
): AsyncGenerator<"connected" | StreamItem> {
  const response = await transport.send(request, { signal, headers: { accept: "text/event-stream" } });
  if (response.headers.get("content-type")?.startsWith("text/event-stream") !== true) {
    await response.body?.cancel();
    throw new CortexError("INTERNAL", `${request.path}: the answer is no event stream; is this the URL of a hub?`);
  }
  yield "connected";
  yield* readEventStream(response, { transport, signal });
}

function resumeAfter(request: ClientRequest, lastId: string | undefined): ClientRequest {
  if (lastId === undefined) return request;
  return { ...request, headers: { ...request.headers, [LAST_EVENT_HEADER]: lastId } };
}

function toEvent(operation: OperationDescription, { id, event, data }: StreamItem & { type: "event" }): unknown {
  let content: unknown;
  try {
    content = JSON.parse(data);
  } catch (cause) {
    throw new CortexError("INTERNAL", `${operation.name}: the data of an event are not JSON`, { cause });
  }
  return parseAnswer(operation, { id, event, data: content });
}
