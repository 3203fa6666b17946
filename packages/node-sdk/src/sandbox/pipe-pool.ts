/**
 * Real pipes for the standard streams of a process.
 *
 * Node gives a child sockets instead of pipes, and a socket cannot be opened by name: `echo fault > /dev/stderr` and
 * `tee /dev/stdout` fail on one. Node has no call that makes a pipe, so named pipes are made ahead, many at once,
 * and lose their name when they are taken.
 *
 * (P1) A pipe is used once. (P2) Each end is opened by itself, so that the node's is non-blocking and the process' is not.
 * (P3) Where pipes cannot be made, `take` gives undefined and the caller uses Node's own.
 */
import { execFile } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readdirSync, rmSync, unlinkSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";

/** Pipes made at once; making many costs as much as starting one program. */
const BATCH_PIPES = 48;
/** Below this many, more are made in the background: enough for a few tasks that start meanwhile. */
const LOW_PIPES = 12;
const PREFIX = "pipes-";

/** Both ends of a pipe, one for this process and one for another. */
export interface Pipe {
  /** This process' end, as a stream. */
  readonly socket: Socket;
  /** The other end, to hand to a child; the taker closes it after. */
  readonly descriptor: number;
}

/** A stock of pipes. */
export interface PipePool {
  /** A pipe to read from (`"read"`) or write to (`"write"`) by this process; undefined where there are none (P3). */
  take(own: "read" | "write"): Promise<Pipe | undefined>;
  /** Gives up the stock. Pipes that were taken stay open. */
  close(): void;
}

/** Makes a stock in a directory that only this node's user may enter; what an earlier run left there is removed. */
export function createPipePool(directory: string): PipePool {
  for (const name of readdirSync(directory)) {
    if (name.startsWith(PREFIX)) rmSync(join(directory, name), { recursive: true, force: true });
  }
  const place = mkdtempSync(join(directory, PREFIX));
  const stock: string[] = [];
  let madeCount = 0;
  let making: Promise<void> | undefined;
  let isUsable = process.platform !== "win32";

  const make = (): Promise<void> => {
    making ??= makePipes(place, madeCount)
      .then(
        (paths) => {
          madeCount += paths.length;
          stock.push(...paths);
        },
        () => {
          // No mkfifo, or no room for it: the caller falls back (P3), and making is not tried again for each task.
          isUsable = false;
        },
      )
      .finally(() => {
        making = undefined;
      });
    return making;
  };

  return {
    async take(own) {
      while (stock.length === 0 && isUsable) await make();
      const path = stock.pop();
      if (stock.length < LOW_PIPES && isUsable) void make();
      return path === undefined ? undefined : openPipe(path, own);
    },
    close() {
      isUsable = false;
      stock.length = 0;
      rmSync(place, { recursive: true, force: true });
    },
  };
}

async function makePipes(place: string, from: number): Promise<string[]> {
  const paths = Array.from({ length: BATCH_PIPES }, (_, index) => join(place, String(from + index)));
  await promisify(execFile)("mkfifo", ["-m", "600", ...paths]);
  return paths;
}

function openPipe(path: string, own: "read" | "write"): Pipe {
  // An end opened for both lets the others open at once, without waiting for each other.
  const opened = [openSync(path, constants.O_RDWR | constants.O_NONBLOCK)];
  const open = (flags: number): number => {
    const descriptor = openSync(path, flags);
    opened.push(descriptor);
    return descriptor;
  };
  try {
    const descriptor = open(own === "read" ? constants.O_WRONLY : constants.O_RDONLY);
    const fd = open((own === "read" ? constants.O_RDONLY : constants.O_WRONLY) | constants.O_NONBLOCK);
    const socket = new Socket({ fd, readable: own === "read", writable: own === "write" });
    opened.length = 1;
    return { socket, descriptor };
  } finally {
    // All of them after a fault, else only the one for both.
    for (const descriptor of opened) closeSync(descriptor);
    unlinkSync(path);
  }
}
