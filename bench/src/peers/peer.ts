/**
 * A process of its own for one side of a measurement: clients and servers never share an event loop or compiled code.
 *
 * Parent and child speak over the IPC channel: one request, one answer, never during a measured stretch.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

/** What a peer can be asked; each method gets the parameters of one call. */
export type PeerMethods = Readonly<Record<string, (params: never) => Promise<unknown>>>;

/** A running peer, seen from the parent. */
export interface Peer extends AsyncDisposable {
  readonly pid: number;
  /** Calls a method. Rejects with what the method threw, or when the process ends. */
  call<T>(method: string, params?: unknown): Promise<T>;
  /** Ends the process at once, as a crash does; resolves when it is gone. */
  kill(): Promise<void>;
}

interface Request {
  readonly id: number;
  readonly method: string;
  readonly params: unknown;
}

type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string };

interface Waiter {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Starts a peer in a process of its own. */
export function spawnPeer(name: string): Peer {
  const child = fork(process.argv[1] ?? "", ["peer", name], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const waiters = new Map<number, Waiter>();
  let lastId = 0;
  child.on("message", (message) => {
    const answer = message as Answer;
    const waiter = waiters.get(answer.id);
    waiters.delete(answer.id);
    if ("error" in answer) waiter?.reject(new Error(`${name}: ${answer.error}`));
    else waiter?.resolve(answer.value);
  });
  child.once("exit", (code, signal) => {
    for (const { reject } of waiters.values()) reject(new Error(`${name} ended with ${signal ?? code}`));
    waiters.clear();
  });
  return {
    pid: child.pid ?? 0,
    call<T>(method: string, params: unknown = {}): Promise<T> {
      lastId += 1;
      const request: Request = { id: lastId, method, params };
      return new Promise<T>((resolve, reject) => {
        waiters.set(request.id, { resolve: (value) => resolve(value as T), reject });
        child.send(request);
      });
    },
    async kill() {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
    [Symbol.asyncDispose]: () => end(child),
  };
}

/** How long a peer may take to put its things away before it is killed, in milliseconds. */
const END_PATIENCE_MS = 10_000;

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  if (child.connected) child.disconnect();
  const kill = setTimeout(() => child.kill("SIGKILL"), END_PATIENCE_MS);
  await exited;
  clearTimeout(kill);
}

/** Serves the methods to the parent until it disconnects; then runs `close`, if there is one, and ends the process. */
export function servePeer(methods: PeerMethods): void {
  process.on("message", (message) => void answer(methods, message as Request));
  process.once("disconnect", () => void leave(methods));
}

async function answer(methods: PeerMethods, { id, method, params }: Request): Promise<void> {
  try {
    const run = methods[method];
    if (run === undefined) throw new Error(`there is no method ${method}`);
    process.send?.({ id, value: await run(params as never) });
  } catch (error) {
    process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

async function leave({ close }: PeerMethods): Promise<void> {
  try {
    await close?.({} as never);
  } finally {
    process.exit();
  }
}
