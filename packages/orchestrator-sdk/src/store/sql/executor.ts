/**
 * Runs compiled queries: the one thing the tables need of a database.
 *
 * Kysely's instances and transactions fit as they are; an adapter may hand in a connection of its own, which is faster.
 */
import type { CompiledQuery, QueryResult } from "kysely";

/** Runs compiled queries, in the order of the calls. */
export interface Executor {
  executeQuery<R>(query: CompiledQuery<R>): Promise<QueryResult<R>>;
}

/** An executor that asks `refusal` before each query, and rejects with the error it gives. */
export function guardExecutor(executor: Executor, refusal: () => Error | undefined): Executor {
  return {
    executeQuery: async (query) => {
      const error = refusal();
      if (error) throw error;
      return executor.executeQuery(query);
    },
  };
}
