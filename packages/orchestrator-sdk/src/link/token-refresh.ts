/**
 * Keeps the token of one connection fresh: asks the node to prove its key again and gives it the next token.
 *
 * - F1 A refresh passes every check of `IssueToken`: nonce of this hub and used once, key, revocation, newest epoch. On top
 *   of it, the nonce is the one that this connection was asked with.
 * - F2 A proof that does not hold ends the connection. One that could not be checked now is asked for again.
 * - F3 Without a refresh the connection ends a while after its token; its tasks go on at the node, which proves its key anew.
 */
import { create } from "@bufbuild/protobuf";
import { type Clock, CortexError, toCortexError } from "@cortex-mesh/protocol";
import { IssueTokenRequestSchema, type TokenProofFrame } from "@cortex-mesh/protocol/gen";
import { TOKEN_TTL_MS, type Tokens } from "../nodes/tokens.js";
import type { HubConnection } from "./hub-connection.js";
import {
  type Challenges,
  judgeProof,
  NO_CHALLENGES,
  nextTokenStep,
  refreshRatio,
  supersede,
  type TokenLife,
} from "./token-life.js";

/** What a refresh works with. */
export interface TokenRefreshOptions {
  readonly tokens: Pick<Tokens, "challenge" | "issue">;
  readonly clock: Clock;
  /** When the token that the node registered with is over, on the hub's wall clock. */
  readonly expiresAtMs: number;
  /** A proof that could not be checked; it is asked for again. */
  readonly onError: (error: unknown) => void;
}

/** Keeps the token of one connection fresh. */
export interface TokenRefresh {
  /** Begins to ask; to be called once the node was welcomed. */
  start(): void;
  /** Takes the node's answer. Never rejects. */
  prove(proof: TokenProofFrame): Promise<void>;
}

/** Makes the refresh of a connection that registered. */
export function createTokenRefresh(connection: HubConnection, options: TokenRefreshOptions): TokenRefresh {
  const { tokens, clock, onError } = options;
  const { nodeId, epoch } = connection;
  const lifeOf = (leftMs: number): TokenLife => startOf({ leftMs, clock, ratio: refreshRatio(nodeId, epoch) });
  let life = lifeOf(Math.min(TOKEN_TTL_MS, options.expiresAtMs - clock.nowMs()));
  let challenges: Challenges = NO_CHALLENGES;
  let cancelTimer = (): void => {};

  const challenge = (): void => {
    const nonce = tokens.challenge(nodeId);
    challenges = supersede(challenges, nonce);
    const nowMs = clock.monotonicMs();
    life = { ...life, askedAtMs: life.askedAtMs ?? nowMs, challengedAtMs: nowMs };
    connection.send({ case: "tokenChallenge", value: { nonce } });
  };
  const schedule = (): void => {
    cancelTimer();
    if (connection.isClosed) return;
    const step = nextTokenStep(life, clock);
    if (step.kind === "close") return connection.close(unauthenticated("the token was not refreshed in time"));
    if (step.kind === "challenge") challenge();
    // After a challenge the next look says for how long.
    const timer = clock.setTimer(schedule, step.kind === "wait" ? step.forMs : 0);
    cancelTimer = () => timer.cancel();
  };
  const refresh = async ({ nonce, signature }: TokenProofFrame): Promise<void> => {
    const request = create(IssueTokenRequestSchema, { nodeId, nonce, signature, epoch: BigInt(epoch) });
    const { token, expiresInMs } = await tokens.issue(request);
    life = lifeOf(expiresInMs);
    // One that was sent while this one was checked: its answer is on its way and changes nothing.
    challenges = supersede(challenges, undefined);
    connection.send({ case: "tokenIssued", value: { token, expiresInMs } });
    schedule();
  };
  return {
    start() {
      void connection.closed.then(() => cancelTimer());
      schedule();
    },
    async prove(proof) {
      const target = judgeProof(challenges, proof.nonce);
      if (target === "lapsed") return;
      if (target === "foreign")
        return connection.close(unauthenticated("the proof is not over a challenge of this stream"));
      // Answered: the same proof once more is one over nothing (F1).
      challenges = { ...challenges, open: undefined };
      try {
        await refresh(proof);
      } catch (thrown) {
        const error = toCortexError(thrown);
        if (error.retryable || error.code === "INTERNAL") onError(error);
        else connection.close(error);
      }
    },
  };
}

/** A token that nobody was asked about yet. */
function startOf({ leftMs, clock, ratio }: { leftMs: number; clock: Clock; ratio: number }): TokenLife {
  const expiresAtMs = clock.monotonicMs() + leftMs;
  const expiresAtWallMs = clock.nowMs() + leftMs;
  return { expiresAtMs, expiresAtWallMs, ratio, askedAtMs: undefined, challengedAtMs: undefined };
}

function unauthenticated(message: string): CortexError {
  return new CortexError("UNAUTHENTICATED", message);
}
