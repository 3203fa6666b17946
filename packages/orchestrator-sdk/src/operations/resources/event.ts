/**
 * Events as users see them. Bytes that are valid UTF-8 travel as `text`, others as `base64`: a chunk may end inside a
 * character, and exact bytes matter more than readable ones.
 */
import { z } from "zod";
import type { FeedItem } from "../../feed/feed-service.js";
import type { JsonObject } from "../../store/records.js";
import type { TaskStreamEvent } from "../../tasks/task-service.js";
import { time, toTime } from "./time.js";

/** Schema of any event: what Server-Sent Events carry as `id`, `event` and `data`. */
const event = {
  /** Where to resume: everything after this event follows. */
  id: z.string(),
};

/** Schema of an event of a task. */
export const taskEvent = z.strictObject({
  ...event,
  event: z.enum(["state", "stdout", "stderr", "progress", "artifact", "gap"]),
  data: z.looseObject({ seq: z.int(), at: time, text: z.string().optional(), base64: z.base64().optional() }),
});

/** Schema of an event of a user's feed. */
export const feedEvent = z.strictObject({
  ...event,
  /** `node.*`, `session.*`, `task.*`, … */
  event: z.string(),
  data: z.looseObject({ at: time }),
});

/** An event of a task as users see it. */
export type TaskEventResource = z.output<typeof taskEvent>;
/** An event of a feed as users see it. */
export type FeedEventResource = z.output<typeof feedEvent>;

/** Makes the resource of a task's event. */
export function toTaskEventResource({ seq, kind, atMs, data, bytes }: TaskStreamEvent): TaskEventResource {
  const content = bytes === undefined ? (data ?? {}) : toContent(bytes);
  return { id: String(seq), event: kind, data: { ...content, seq, at: toTime(atMs) } };
}

/** Makes the resource of a feed's event. */
export function toFeedEventResource({ cursor, event: { kind, atMs, data } }: FeedItem): FeedEventResource {
  return { id: cursor, event: kind, data: { ...data, at: toTime(atMs) } };
}

/** Keeps a byte order mark: what is text here gives back the same bytes. Isolated surrogates are no UTF-8 either. */
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function toContent(bytes: Uint8Array): JsonObject {
  try {
    return { text: strictUtf8.decode(bytes) };
  } catch {
    // No UTF-8: the bytes themselves.
    return { base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64") };
  }
}
