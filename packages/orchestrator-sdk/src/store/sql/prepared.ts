/**
 * Queries that are built and compiled once, and run many times with other values.
 *
 * Building and compiling a query with Kysely costs several times what SQLite needs to run it, so every hot query is
 * prepared. A query that depends on its arguments' shape is prepared once for each shape.
 */
import type { CompiledQuery, QueryResult } from "kysely";
import type { Executor } from "./executor.js";

/** Stands for a value while a query is built; never reaches a database. */
interface Placeholder {
  readonly placeholder: string;
}

/** What a finished query builder can do. */
interface Compilable<R> {
  compile(): CompiledQuery<R>;
}

/** Runs a prepared query with `values`. */
export type Prepared<P, R> = (executor: Executor, values: P) => Promise<QueryResult<R>>;

/**
 * Compiles the query that `build` makes.
 *
 * `build` uses `parameters.name` wherever the value called `name` will stand. It sees placeholders, not values: they
 * may only be handed to the query builder.
 */
export function prepare<P extends object, R>(build: (parameters: P) => Compilable<R>): Prepared<P, R> {
  const compiled = build(placeholders<P>()).compile();
  const slots = compiled.parameters.map((value) => (isPlaceholder(value) ? value.placeholder : undefined));
  return (executor, values) => {
    const parameters = slots.map((slot, index) =>
      slot === undefined ? compiled.parameters[index] : (values as Readonly<Record<string, unknown>>)[slot],
    );
    return executor.executeQuery({ ...compiled, parameters });
  };
}

/** Prepares each shape of a query once; the number of shapes must be bounded by the code that names them. */
export function prepareShapes<P extends object, R, S>(
  keyOf: (shape: S) => string,
  build: (shape: S, parameters: P) => Compilable<R>,
): (shape: S) => Prepared<P, R> {
  const known = new Map<string, Prepared<P, R>>();
  return (shape) => {
    const key = keyOf(shape);
    const found = known.get(key);
    if (found) return found;
    const made = prepare<P, R>((parameters) => build(shape, parameters));
    known.set(key, made);
    return made;
  };
}

const PLACEHOLDERS = new WeakSet();

function placeholders<P extends object>(): P {
  return new Proxy(Object.create(null) as P, {
    get: (_target, name): Placeholder => {
      const made = Object.freeze({ placeholder: String(name) });
      PLACEHOLDERS.add(made);
      return made;
    },
  });
}

function isPlaceholder(value: unknown): value is Placeholder {
  return typeof value === "object" && value !== null && PLACEHOLDERS.has(value);
}
