/**
 * Deep copies that cannot be changed, so that one copy serves every reader.
 *
 * For plain data: what JSON can hold, `undefined`, and byte arrays, which cannot be frozen and are copied each time.
 */

/** Copies that were made here; they need no second copy. */
const COPIES = new WeakSet<object>();

/** A frozen deep copy of `value`; parts that are such copies already are kept. */
export function frozenCopy<T>(value: T): T {
  if (typeof value !== "object" || value === null || COPIES.has(value)) return value;
  if (value instanceof Uint8Array) return value.slice() as T;
  const copy = Array.isArray(value) ? value.map((item: unknown) => frozenCopy(item)) : copyProperties(value);
  COPIES.add(copy);
  return Object.freeze(copy) as T;
}

function copyProperties(value: object): object {
  const copy: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    const copied = frozenCopy(item as unknown);
    // A property called `__proto__` is data here, so that it is defined and not assigned.
    if (name === "__proto__") Object.defineProperty(copy, name, { value: copied, enumerable: true });
    else copy[name] = copied;
  }
  return copy;
}
