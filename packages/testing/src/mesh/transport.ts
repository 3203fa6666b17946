/** How a node of the mesh reaches its hub: the calls and streams of one dial, over its wire. */
import { create } from "@bufbuild/protobuf";
import type { HubTransport } from "@cortex-mesh/node-sdk";
import type { HubCore, VerifiedToken } from "@cortex-mesh/orchestrator-sdk";
import { CortexError, type Link, toCortexError } from "@cortex-mesh/protocol";
import { IssueTokenRequestSchema, RegistrationRequestSchema } from "@cortex-mesh/protocol/gen";
import type { CallQueue } from "./call-queue.js";
import type { StreamKind, Wire } from "./wire.js";

/** The hub as a caller finds it. */
export interface HubDoor {
  /** Runs a call in the process that is up. @throws CortexError `UNAVAILABLE` when there is none, or it dies meanwhile */
  enter<T>(call: (core: HubCore) => Promise<T>): Promise<T>;
  /** Verifies a token, once in its life. @throws CortexError `UNAUTHENTICATED`, `UNAVAILABLE` */
  verify(token: string): Promise<VerifiedToken>;
}

/** What a transport works with. */
export interface TransportOptions {
  readonly door: HubDoor;
  readonly wire: Wire;
  readonly calls: CallQueue;
  /** Whether the process that dialled is gone: nobody is there to hear. */
  readonly isGone: () => boolean;
  /** Whether the answer of a call gets lost on its way. */
  readonly isAnswerLost: () => boolean;
}

const OPENERS = { tasks: "openTasks", health: "openHealth", logs: "openLogs" } as const;

/** Makes the transport of one dial. */
export function createMemoryTransport(options: TransportOptions): HubTransport {
  const { door, calls, isGone } = options;
  const open = new Set<Link>();
  const call = <T>(run: (core: HubCore) => Promise<T>): Promise<T> =>
    unlessGone(
      isGone,
      callOver(options, () => calls.run(() => door.enter(run))),
    );
  const openStream = (kind: StreamKind, token: string): Link => {
    const [nodeEnd, hubEnd] = options.wire.open(kind);
    open.add(nodeEnd);
    void nodeEnd.closed.then(() => open.delete(nodeEnd));
    void serve(options, { kind, token, hubEnd });
    return nodeEnd;
  };
  return {
    issueToken: (request) => call((core) => core.tokens.issue(create(IssueTokenRequestSchema, request))),
    register: (request, token) =>
      call(async (core) => core.gateway.register(await door.verify(token), create(RegistrationRequestSchema, request))),
    openTasks: (token) => openStream("tasks", token),
    openHealth: (token) => openStream("health", token),
    openLogs: (token) => openStream("logs", token),
    close() {
      for (const link of open) link.close();
    },
  };
}

async function callOver<T>({ wire, isAnswerLost }: TransportOptions, run: () => Promise<T>): Promise<T> {
  await wire.travel();
  try {
    return await run();
  } finally {
    await wire.travel();
    // The caller's own time limit ends the wait.
    if (isAnswerLost()) await new Promise(() => {});
  }
}

/** The hub's side of a stream: nothing is attached before the token is verified. */
async function serve(
  { door, wire, calls }: TransportOptions,
  { kind, token, hubEnd }: { readonly kind: StreamKind; readonly token: string; readonly hubEnd: Link },
): Promise<void> {
  await wire.travel();
  try {
    await calls.run(() =>
      door.enter(async (core) => {
        const credentials = await door.verify(token);
        core.gateway[OPENERS[kind]](credentials, hubEnd);
      }),
    );
  } catch (error) {
    hubEnd.close(toCortexError(error));
  }
}

/** A promise that stays pending once its process is gone. */
function unlessGone<T>(isGone: () => boolean, result: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    result.then(
      (value) => {
        if (!isGone()) resolve(value);
      },
      (error: unknown) => {
        if (!isGone()) reject(toCortexError(error));
      },
    );
  });
}

/** The error of a hub that is not there. */
export function hubIsDown(): CortexError {
  return new CortexError("UNAVAILABLE", "the hub is down");
}
