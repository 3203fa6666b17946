/** Times as resources show them: ISO 8601, UTC, milliseconds. */
import { z } from "zod";

/** Schema of a time. */
export const time = z.iso.datetime({ precision: 3 });

/** A time for a resource; `null` when it has not come. */
export function toTime(atMs: number): string;
export function toTime(atMs: number | undefined): string | null;
export function toTime(atMs: number | undefined): string | null {
  return atMs === undefined ? null : new Date(atMs).toISOString();
}
