/**
 * One connection to an event stream: its bytes as events and marks, until it ends or is silent for too long.
 *
 * Reconnecting is not its business (`follow-events.ts`).
 */
import { createParser } from "eventsource-parser";
import { CortexError, isCortexError } from "@cortex-mesh/protocol/portable";
import { PROBLEM_EVENT, SSE_KEEP_ALIVE_MS, STREAM_COMMENTS } from "../operations/wire.js";
import { parseProblem } from "./problem.js";
import type { Transport } from "./transport.js";

/** Silence after which a connection counts as dead: three comments of the hub did not come. */
export const MAX_SILENCE_MS = 3 * SSE_KEEP_ALIVE_MS;
/** Longest event that is collected, in characters: far above what a hub sends. */
const MAX_EVENT_CHARACTERS = 16 * 1024 * 1024;

/** What a connection brings. */
export type StreamItem =
  | { readonly type: "event"; readonly id: string | undefined; readonly event: string; readonly data: string }
  /** The id from which the events follow. */
  | { readonly type: "start"; readonly id: string }
  /** Nothing will follow, also for a reader that comes back. */
  | { readonly type: "end" };

/**
 * Reads one connection. Leaving it closes it.
 *
 * @throws CortexError `UNAVAILABLE` when it is cut or silent, and the problem that the hub tells at its end.
 */
export async function* readEventStream(
  response: Response,
  { transport, signal }: { readonly transport: Transport; readonly signal: AbortSignal | undefined },
): AsyncGenerator<StreamItem> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  const parser = createItemParser();
  try {
    while (reader !== undefined) {
      const { done, value } = await transport.read(reader.read(), { signal, timeoutMs: MAX_SILENCE_MS });
      if (done) break;
      yield* parser.feed(decoder.decode(value, { stream: true }));
    }
    throw new CortexError("UNAVAILABLE", "the event stream was cut");
  } finally {
    // Whoever stops early wants no more; a body that already failed has nothing to cancel.
    reader?.cancel().catch(() => undefined);
  }
}

interface ItemParser {
  /** The items that are complete now. @throws CortexError `TOO_LARGE`, and the hub's problem after what came before it. */
  feed(text: string): Generator<StreamItem>;
}

function createItemParser(): ItemParser {
  const items: (StreamItem | CortexError)[] = [];
  const parser = createParser({
    maxBufferSize: MAX_EVENT_CHARACTERS,
    onEvent({ id, event = "message", data }) {
      items.push(event === PROBLEM_EVENT ? parseProblem(data) : { type: "event", id, event, data });
    },
    onComment(comment) {
      if (comment === STREAM_COMMENTS.end) items.push({ type: "end" });
      if (!comment.startsWith(STREAM_COMMENTS.start)) return;
      items.push({ type: "start", id: comment.slice(STREAM_COMMENTS.start.length) });
    },
    onError(error) {
      if (error.type !== "max-buffer-size-exceeded") return;
      items.push(new CortexError("TOO_LARGE", `an event has more than ${MAX_EVENT_CHARACTERS} characters`));
    },
  });
  return {
    *feed(text) {
      parser.feed(text);
      for (const item of items.splice(0)) {
        if (isCortexError(item)) throw item;
        yield item;
      }
    },
  };
}
