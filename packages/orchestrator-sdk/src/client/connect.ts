/**
 * Connects to a hub over HTTP. Everything is made from the operation table: there is no code here for any one operation.
 *
 * @example
 * ```ts
 * const hub = connect("https://hub.example.org", { token });
 * const { items } = await hub.listNodes();
 * for await (const { event, data } of hub.followTask({ taskId })) console.log(event, data);
 * ```
 */
import type { Clock } from "@cortex-mesh/protocol/portable";
import type { Api, CallOptions } from "../operations/api.js";
import type { DescriptionTable } from "../operations/description.js";
import { operations as builtIn, type Operations } from "../operations/table.js";
import { API_BASES } from "../operations/wire.js";
import { callJson } from "./call-json.js";
import type { ClientContext } from "./context.js";
import { followEvents } from "./follow-events.js";
import { openBytes } from "./read-bytes.js";
import { DEFAULT_CALL_RETRY_MS, DEFAULT_STREAM_RETRY_MS, type RetryOptions } from "./retry.js";
import { createTransport, DEFAULT_ANSWER_TIMEOUT_MS } from "./transport.js";
import { waitingClock } from "./waiting-clock.js";

/** How to reach a hub. */
export interface ConnectOptions<Extra extends DescriptionTable = Record<never, never>> {
  /**
   * Bearer token, or a function that is asked before each request: within `timeoutMs`, and what it throws is thrown to the caller.
   * A stream whose token ran out connects again with the next one.
   */
  readonly token: string | (() => string | Promise<string>);
  /** Operations of the hub beside the built-in ones, as it was given them or described by `describeOperation`. */
  readonly operations?: Extra | undefined;
  /** Sends a request. @default the `fetch` of the runtime, with its own limits: see {@link connect} on sent bytes */
  readonly fetch?: ((request: Request) => Promise<Response>) | undefined;
  /** How long a hub that cannot be reached is borne. */
  readonly retry?: RetryOptions | undefined;
  /** Longest silence while an answer is awaited or read, in milliseconds; event streams and sent bytes have none here. @default 60,000 */
  readonly timeoutMs?: number | undefined;
  /** @default the clock of this machine; waits keep the process alive */
  readonly clock?: Clock | undefined;
  /** A number of at least 0 and below 1, for the jitter of retries. @default Math.random */
  readonly random?: (() => number) | undefined;
}

/**
 * Gives the API of the hub at `url`: the same interface as `hub.as(user)`, as the user of the token.
 *
 * - Nothing is sent before the first call; every call is one request.
 * - Errors are CortexErrors with the hub's code, message and details; a hub that cannot be reached is `UNAVAILABLE`.
 * - A call is repeated only where that is safe: when it reads, or has an idempotency key. A call that can have one and was
 *   given none gets one of its own, so that its repeats start nothing twice; `isRepeat` is then true when an earlier try had
 *   arrived.
 * - Events outlive their connection: the iterator connects again and goes on after the last event, so that each comes once.
 * - Bytes are read by range, and a read that was cut goes on where it was.
 *
 * Sending bytes (`writeTaskInput`) needs a runtime that streams request bodies: Node, Deno, Bun, workers, Chromium on HTTP/2.
 * The hub answers when the task has read them all, or with `UNAVAILABLE` and `details.acceptedBytes` when it reads nothing for 90 s.
 * Node's `fetch` gives up by itself 300 s after the last byte left: for a task that reads on, but slower, send less at once.
 *
 * @throws TypeError when `url` is no http or https URL, or has credentials, a query or a fragment.
 */
export function connect<Extra extends DescriptionTable = Record<never, never>>(
  url: string | URL,
  options: ConnectOptions<Extra>,
): Api<Operations & Extra> {
  const { clock = waitingClock, random = Math.random, retry = {} } = options;
  const context: ClientContext = {
    clock,
    random,
    callRetryMs: retry.callMs ?? DEFAULT_CALL_RETRY_MS,
    streamRetryMs: retry.streamMs ?? DEFAULT_STREAM_RETRY_MS,
    transport: createTransport({
      base: toBase(url),
      token: options.token,
      // Called as a method of the global object, which browsers insist on.
      fetch: options.fetch ?? ((request) => globalThis.fetch(request)),
      clock,
      timeoutMs: options.timeoutMs ?? DEFAULT_ANSWER_TIMEOUT_MS,
    }),
  };
  const table: DescriptionTable = { ...builtIn, ...options.operations };
  const methods = Object.entries(table).map(([name, operation]) => {
    const call = (input: unknown = {}, { signal }: CallOptions = {}) => {
      if (operation.kind === "events") return followEvents(context, operation, { input, signal });
      if (operation.kind === "bytes") return openBytes(context, operation, { input, signal });
      return callJson(context, operation, { input, signal });
    };
    return [name, call];
  });
  return Object.fromEntries(methods) as Api<Operations & Extra>;
}

function toBase(address: string | URL): string {
  const url = new URL(address);
  const isPlain = url.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (!/^https?:$/.test(url.protocol) || !isPlain) {
    throw new TypeError("the URL of a hub is http or https, without credentials, query or fragment");
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}${API_BASES[0]}`;
}
