/**
 * Keeps the token of a connection fresh: a new one at 60 % of the life of the last, with the same epoch.
 *
 * A renewal that fails is tried again; when none succeeds the hub ends the connection, and the next one proves the key.
 */
import type { Clock, Timer } from "@cortex-mesh/protocol";
import type { IssueTokenResponse } from "@cortex-mesh/protocol/gen";

/** Share of a token's life after which it is renewed. */
const RENEW_AT_RATIO = 0.6;
/** Share of a token's life between two tries. */
const RETRY_RATIO = 0.1;
/** Shortest wait, in milliseconds: a hub that gives tokens of no life is not asked in a loop. */
const MIN_WAIT_MS = 1_000;

/** What {@link startTokenRenewal} needs. */
export interface TokenRenewalOptions {
  readonly clock: Clock;
  readonly token: string;
  readonly lifeMs: number;
  readonly request: () => Promise<IssueTokenResponse>;
}

/** The newest token. */
export interface TokenRenewal {
  current(): string;
  stop(): void;
}

/** Starts to renew. */
export function startTokenRenewal(options: TokenRenewalOptions): TokenRenewal {
  let { token, lifeMs } = options;
  let isStopped = false;
  let timer: Timer;

  const schedule = (ratio: number): void => {
    timer = options.clock.setTimer(renew, Math.max(MIN_WAIT_MS, lifeMs * ratio));
  };
  const renew = (): void => {
    options.request().then(
      (issued) => {
        if (isStopped) return;
        token = issued.token;
        lifeMs = issued.expiresInMs;
        schedule(RENEW_AT_RATIO);
      },
      () => {
        if (!isStopped) schedule(RETRY_RATIO);
      },
    );
  };
  schedule(RENEW_AT_RATIO);
  return {
    current: () => token,
    stop() {
      isStopped = true;
      timer.cancel();
    },
  };
}
