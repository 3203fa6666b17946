/** An event of a task as users are given it. */

/** What is judged of an event. */
export interface SeenEvent {
  readonly seq: number;
  readonly kind: string;
  /** Of a `state` event. */
  readonly state?: string | undefined;
  readonly attempt?: number | undefined;
  /** What a `stdout` or `stderr` event adds; empty in others. */
  readonly text: string;
}

/** Reads what the API gave. */
export function toSeenEvent({
  id,
  event,
  data,
}: {
  readonly id: string;
  readonly event: string;
  readonly data: unknown;
}) {
  const { state, attempt, text, base64 } = data as Readonly<Record<string, unknown>>;
  const bytes = typeof base64 === "string" ? Buffer.from(base64, "base64").toString("utf8") : "";
  return {
    seq: Number(id),
    kind: event,
    state: typeof state === "string" ? state : undefined,
    attempt: typeof attempt === "number" ? attempt : undefined,
    text: typeof text === "string" ? text : bytes,
  } satisfies SeenEvent;
}
