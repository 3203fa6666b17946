/**
 * Byte ranges of one part.
 *
 * Source: RFC 9110 §14: a range in another unit, of several parts, or misspelt is ignored; one that lies outside is refused.
 */

/** Half-open byte range `[start, end)`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

const ONE_RANGE = /^bytes=([0-9]{0,15})-([0-9]{0,15})$/;

/**
 * Reads a `Range` header for content of `sizeBytes`.
 *
 * `undefined` means the whole content, `"unsatisfiable"` that nothing of it lies in the range.
 */
export function parseRange(header: string | null, sizeBytes: number): ByteRange | "unsatisfiable" | undefined {
  const match = header === null ? null : ONE_RANGE.exec(header.trim());
  const [first, last] = [match?.[1] ?? "", match?.[2] ?? ""];
  if (first === "" && last === "") return undefined;
  if (first === "") return bounded({ start: Math.max(0, sizeBytes - Number(last)), end: sizeBytes });
  if (last !== "" && Number(last) < Number(first)) return undefined;
  return bounded({ start: Number(first), end: last === "" ? sizeBytes : Math.min(sizeBytes, Number(last) + 1) });
}

function bounded(range: ByteRange): ByteRange | "unsatisfiable" {
  return range.start < range.end ? range : "unsatisfiable";
}
