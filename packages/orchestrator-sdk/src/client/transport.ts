/**
 * One exchange with the hub: sends a request, gives the answer of a success, and throws a CortexError for all else.
 *
 * A caller that withdraws ends the exchange and gets `CANCELLED`; silence longer than the limit ends it with `TIMED_OUT`. Both
 * hold also while the token is fetched; what the function that gives it throws reaches the caller as it is.
 */
import { type Clock, CortexError, isCortexError, type Timer } from "@cortex-mesh/protocol/portable";
import { toProblemError } from "./problem.js";
import type { ClientRequest } from "./request.js";
import { toRequestBody } from "./request-body.js";
import { withdrawn } from "./retry.js";

/** Longest silence of a hub that is asked something, by default. */
export const DEFAULT_ANSWER_TIMEOUT_MS = 60_000;

/** What {@link createTransport} needs. */
export interface TransportOptions {
  /** URL below which the operations are, without a slash at its end. */
  readonly base: string;
  readonly token: string | (() => string | Promise<string>);
  readonly fetch: (request: Request) => Promise<Response>;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/** How an exchange may differ. */
export interface SendOptions {
  readonly signal: AbortSignal | undefined;
  /** Headers beside those of the request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses that are answers too, beside those of a success. */
  readonly accept?: readonly number[];
}

/** The way to one hub. */
export interface Transport {
  readonly timeoutMs: number;
  /** Whether each request asks for its token, so that one that ran out is followed by another. */
  readonly isTokenAsked: boolean;
  /** Sends, and resolves when the headers are there. @throws CortexError */
  send(request: ClientRequest, options: SendOptions): Promise<Response>;
  /** Awaits what the network owes; what fails there becomes a CortexError. */
  read<T>(reading: Promise<T>, options: ReadOptions): Promise<T>;
}

/** What bounds a wait for the network. */
export interface ReadOptions {
  readonly signal: AbortSignal | undefined;
  /** @default none */
  readonly timeoutMs?: number | undefined;
}

/** Makes the transport. */
export function createTransport(options: TransportOptions): Transport {
  const { base, token, fetch, clock, timeoutMs } = options;
  const host = new URL(base).host;

  async function askToken(signal: AbortSignal | undefined): Promise<string> {
    if (typeof token === "string") return token;
    // In a promise from its first line on: what is thrown at once and what is thrown later are the same.
    const asking = Promise.resolve().then(token);
    return bounded(clock, asking, { signal, timeoutMs, lateText: "the token was not there after" });
  }

  async function read<T>(reading: Promise<T>, options: ReadOptions): Promise<T> {
    try {
      return await bounded(clock, reading, { ...options, lateText: `the hub at ${host} said nothing for` });
    } catch (error) {
      throw isCortexError(error) ? error : unreachable(host, error);
    }
  }

  return {
    timeoutMs,
    isTokenAsked: typeof token === "function",
    read,
    async send(request, { signal, headers = {}, accept = [] }) {
      if (signal?.aborted === true) throw withdrawn(signal);
      const bearer = await askToken(signal);
      const exchange = new AbortController();
      const body = toRequestBody(request.body);
      const init = {
        method: request.method,
        headers: { ...request.headers, ...headers, authorization: `Bearer ${bearer}` },
        signal: signal === undefined ? exchange.signal : AbortSignal.any([signal, exchange.signal]),
        ...(body === undefined ? {} : { body: body.content, duplex: "half" }),
      };
      try {
        // Bytes take as long as the task that reads them; the hub ends a wait in which nothing moves.
        const limitMs = typeof request.body === "object" ? undefined : timeoutMs;
        const sent = fetch(new Request(`${base}${request.path}`, init as RequestInit));
        const response = await read(sent, { signal, timeoutMs: limitMs });
        if (response.ok || accept.includes(response.status)) return response;
        throw await read(toProblemError(response), { signal, timeoutMs });
      } catch (error) {
        exchange.abort();
        // What went wrong with the caller's own bytes is the caller's error, whatever the network made of it.
        throw body?.failure() ?? error;
      }
    },
  };
}

/** Awaits no longer than the caller and the limit say. @throws CortexError `CANCELLED`, `TIMED_OUT`; what `work` rejects with */
async function bounded<T>(
  clock: Clock,
  work: Promise<T>,
  { signal, timeoutMs, lateText }: ReadOptions & { readonly lateText: string },
): Promise<T> {
  // Whoever gives up waiting leaves the promise behind; its failure is told already.
  work.catch(() => undefined);
  let timer: Timer | undefined;
  let abort = (): void => undefined;
  const bound = new Promise<never>((_resolve, reject) => {
    abort = () => reject(withdrawn(signal as AbortSignal));
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted === true) abort();
    if (timeoutMs === undefined) return;
    timer = clock.setTimer(() => reject(new CortexError("TIMED_OUT", `${lateText} ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, bound]);
  } finally {
    timer?.cancel();
    signal?.removeEventListener("abort", abort);
  }
}

function unreachable(host: string, cause: unknown): CortexError {
  return new CortexError("UNAVAILABLE", `the hub at ${host} cannot be reached: ${reasonOf(cause)}`, { cause });
}

/** `fetch` says "fetch failed" and keeps the reason in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof Error && cause.message !== "") return cause.message;
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : undefined;
  return code ?? error.message;
}
