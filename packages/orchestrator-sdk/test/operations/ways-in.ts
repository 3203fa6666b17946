/** The two ways to the operations of one hub: in its process, and through the remote client over a real port. */
import { onTestFinished } from "vitest";
import type { Caller } from "../../src/access/caller.js";
import { connect } from "../../src/client/connect.js";
import { serveHttp } from "../../src/http/serve.js";
import { type Api, createApi } from "../../src/operations/api.js";
import type { OperationTable } from "../../src/operations/operation.js";
import { type Operations, operations } from "../../src/operations/table.js";
import { openTestHttp, type TestHttp } from "../http/open-test-http.js";
import type { TestHubOptions } from "./open-hub-services.js";

export type WayIn = "in process" | "through the remote client";

export const WAYS_IN: readonly WayIn[] = ["in process", "through the remote client"];

/** A hub that is entered one way. */
export interface Entered<Extra extends OperationTable> extends TestHttp {
  /** The API as a user, the same interface whichever way. */
  as(caller: Caller): Api<Operations & Extra>;
}

export async function enter<Extra extends OperationTable = Record<never, never>>(
  way: WayIn,
  { extra, ...options }: TestHubOptions & { readonly extra?: Extra } = {},
): Promise<Entered<Extra>> {
  const table = { ...operations, ...extra } as Operations & Extra;
  const http = await openTestHttp({ ...options, table });
  if (way === "in process") return { ...http, as: (caller) => createApi(table, http.services, caller) };
  const server = await serveHttp({ fetch: http.fetch, port: 0 });
  onTestFinished(() => server.close({ graceMs: 100 }));
  return { ...http, as: (caller) => connect<Extra>(server.url, { token: caller.userId, operations: extra }) };
}
