/**
 * JSON at the border of the tables: records become `doc` text, and text of users becomes a JSON literal.
 *
 * JSON text escapes NUL and lone surrogates. Neither survives in a text column: SQLite's binding cuts at the NUL and
 * replaces the surrogate, Postgres refuses both.
 */

/** Encodes a value as JSON text. A property that is `undefined` is left out. */
export function toJsonText(value: unknown): string {
  return JSON.stringify(value);
}

/** Decodes what {@link toJsonText} wrote; the type is the caller's word for what it stored. */
export function fromJsonText<T>(text: string): T {
  return JSON.parse(text) as T;
}
