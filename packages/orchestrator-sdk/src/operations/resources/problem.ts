/** The problem document (RFC 9457): how errors look over HTTP. */
import { z } from "zod";

/** Schema of a problem document. */
export const problemResource = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  /** Stable, machine-readable. */
  code: z.string(),
  /** Names this answer in the hub's log. */
  instance: z.string(),
  /** Whether the same request may succeed later. */
  retryable: z.boolean(),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
});

/** A problem document. */
export type Problem = z.output<typeof problemResource>;
