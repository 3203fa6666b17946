/** The HTTP handler over a test hub; the bearer token is the user's name. */
import { type Caller, createCaller } from "../../src/access/caller.js";
import { createHttpHandler, type FetchHandler, type RequestName } from "../../src/http/handler.js";
import type { OperationTable } from "../../src/operations/operation.js";
import { operations } from "../../src/operations/table.js";
import { openTestHub, type TestHub, type TestHubOptions } from "../operations/open-hub-services.js";

/** What a request may say besides method and path. */
export interface CallOptions {
  /** Null for none. @default "alice" */
  readonly token?: string | null;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** A test hub with its HTTP handler. */
export interface TestHttp extends TestHub {
  readonly fetch: FetchHandler;
  readonly faults: { readonly error: unknown; readonly request: RequestName }[];
  call(method: string, path: string, options?: CallOptions): Promise<Response>;
}

/** Users that the handler knows. */
const USERS = new Set(["alice", "bob"]);

/** Says who a request is from, by `Bearer NAME`. */
export function authenticate(request: Request): Caller | undefined {
  const name = request.headers.get("authorization")?.replace(/^Bearer /, "") ?? "";
  return USERS.has(name) ? createCaller(name) : undefined;
}

export async function openTestHttp(
  options: TestHubOptions & { readonly table?: OperationTable; readonly closing?: AbortSignal } = {},
): Promise<TestHttp> {
  const { table = operations, closing } = options;
  const hub = await openTestHub(options);
  const faults: TestHttp["faults"] = [];
  const onFault = (error: unknown, request: RequestName) => void faults.push({ error, request });
  const fetch = createHttpHandler({ table, services: hub.services, authenticate, onFault, closing });
  return { ...hub, fetch, faults, call: (method, path, call) => fetch(toRequest(method, path, call)) };
}

/** Makes a request; a body that is no text, bytes or stream is sent as JSON. */
export function toRequest(method: string, path: string, options: CallOptions = {}): Request {
  const { token = "alice", body, headers = {}, signal } = options;
  const isRaw = typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream;
  const init = {
    method,
    headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
    duplex: "half",
    ...(body === undefined ? {} : { body: isRaw ? body : JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  };
  return new Request(`http://hub${path.startsWith("/api") ? path : `/api/v1${path}`}`, init as RequestInit);
}
