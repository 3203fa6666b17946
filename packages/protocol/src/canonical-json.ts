/**
 * One spelling for each JSON value, so that equal values have equal hashes.
 *
 * Follows RFC 8785: no whitespace, members in the order of their names' UTF-16 code units, numbers and strings as
 * `JSON.stringify` writes them. Members that are `undefined` are left out, as JSON does. Cost: O(n log n) in the
 * number of members.
 */
import { CortexError } from "./errors.js";

/** A value that JSON can carry. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** How deep arrays and objects may nest: far beyond real inputs, and far from the end of the stack. */
export const MAX_JSON_DEPTH = 256;

/**
 * Gives the canonical text of a JSON value.
 *
 * @throws CortexError `BAD_REQUEST`, naming the path, for what JSON cannot carry unchanged: a number that is not
 * finite, a bigint, a function, an object with a class, an unpaired surrogate, more than {@link MAX_JSON_DEPTH} levels.
 *
 * @example
 * ```ts
 * canonicalJson({ b: 1, a: [true, null] }); // {"a":[true,null],"b":1}
 * ```
 */
export function canonicalJson(value: unknown): string {
  return write(value, []);
}

type Path = readonly (string | number)[];

function write(value: unknown, path: Path): string {
  if (path.length > MAX_JSON_DEPTH) throw refuse(path.slice(0, 4), "nests too deep");
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") return writeNumber(value, path);
  if (typeof value === "string") return writeString(value, path);
  if (Array.isArray(value)) return `[${Array.from(value, (item, index) => write(item, [...path, index])).join(",")}]`;
  if (typeof value === "object" && isPlain(value)) return writeObject(value, path);
  throw refuse(path, `${describe(value)} is not JSON`);
}

function writeNumber(value: number, path: Path): string {
  if (!Number.isFinite(value)) throw refuse(path, `${value} is not a JSON number`);
  return JSON.stringify(value);
}

function writeString(value: string, path: Path): string {
  if (/\p{Surrogate}/u.test(value)) throw refuse(path, "the text has an unpaired surrogate");
  return JSON.stringify(value);
}

function writeObject(value: Readonly<Record<string, unknown>>, path: Path): string {
  const members: string[] = [];
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member === undefined) continue;
    members.push(`${writeString(key, path)}:${write(member, [...path, key])}`);
  }
  return `{${members.join(",")}}`;
}

function isPlain(value: object): value is Readonly<Record<string, unknown>> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function describe(value: unknown): string {
  return typeof value === "object" && value !== null
    ? `an object of class ${value.constructor.name}`
    : `a ${typeof value}`;
}

function refuse(path: Path, problem: string): CortexError {
  const place = path.length === 0 ? "the value" : path.join(".");
  return new CortexError("BAD_REQUEST", `${place.slice(0, 200)}: ${problem}`);
}
