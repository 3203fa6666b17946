/**
 * One exchange with the hub: sends a request, gives the answer of a success, and throws a CortexError for all else.
 *
 * A caller that withdraws ends the exchange and gets `CANCELLED`; silence longer than the limit ends it with `TIMED_OUT`.
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

  async function read<T>(reading: Promise<T>, { signal, timeoutMs: limitMs }: ReadOptions): Promise<T> {
    // Whoever gives up waiting leaves the promise behind; its failure is told already.
    reading.catch(() => undefined);
    let timer: Timer | undefined;
    let abort = (): void => undefined;
    const bound = new Promise<never>((_resolve, reject) => {
      abort = () => reject(withdrawn(signal as AbortSignal));
      signal?.addEventListener("abort", abort, { once: true });
      if (signal?.aborted === true) abort();
      if (limitMs === undefined) return;
      const late = (): void =>
        reject(new CortexError("TIMED_OUT", `the hub at ${host} said nothing for ${limitMs} ms`));
      timer = clock.setTimer(late, limitMs);
    });
    try {
      return await Promise.race([reading, bound]);
    } catch (error) {
      throw isCortexError(error) ? error : unreachable(host, error);
    } finally {
      timer?.cancel();
      signal?.removeEventListener("abort", abort);
    }
  }

  return {
    timeoutMs,
    read,
    async send(request, { signal, headers = {}, accept = [] }) {
      if (signal?.aborted === true) throw withdrawn(signal);
      const bearer = typeof token === "string" ? token : await token();
      const exchange = new AbortController();
      const body = toRequestBody(request.body);
      const init = {
        method: request.method,
        headers: { ...request.headers, ...headers, authorization: `Bearer ${bearer}` },
        signal: signal === undefined ? exchange.signal : AbortSignal.any([signal, exchange.signal]),
        ...(body === undefined ? {} : { body: body.content, duplex: "half" }),
      };
      try {
        // Bytes take as long as the task that reads them.
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
