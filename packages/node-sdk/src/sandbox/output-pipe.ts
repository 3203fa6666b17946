/**
 * The reading end of a process' output: exact bytes, bounded memory, and an end that always comes.
 *
 * (O1) While the reader is slow, nothing is read from the pipe, so that the process waits; at most
 * {@link HELD_READS} reads and one more are held.
 * (O2) The end comes with the end of the pipe. When the tree is gone and somebody outside of it still holds the pipe
 * open, it comes once the pipe has been empty for {@link ORPHANED_PIPE_MS}.
 */
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import type { Clock, Timer } from "@cortex-mesh/protocol";

/** Reads of a pipe that are held for a slow reader; Node reads at most 64 KiB at once. */
export const HELD_READS = 2;
/** How long a pipe that nobody of the tree holds any more stays empty before it counts as ended. */
export const ORPHANED_PIPE_MS = 200;

/** Output of a process. */
export interface OutputPipe {
  readonly stream: Readable;
  /** To call when the tree is gone: from then on an empty pipe that stays empty has ended. */
  markWritersGone(): void;
}

/** Reads the pipe of a child process that was just started. */
export function createOutputPipe(socket: Socket, clock: Clock): OutputPipe {
  let idleTimer: Timer | undefined;
  let hasEnded = false;
  const stream = new Readable({
    // By reads and not by bytes: a stream of bytes joins what it holds, which copies it.
    objectMode: true,
    highWaterMark: HELD_READS,
    read: () => {
      socket.resume();
    },
    destroy: (error, done) => {
      hasEnded = true;
      idleTimer?.cancel();
      socket.destroy();
      done(error);
    },
  });
  const end = (): void => {
    if (hasEnded) return;
    hasEnded = true;
    idleTimer?.cancel();
    stream.push(null);
  };
  socket.on("data", (chunk: Buffer) => {
    // Node resumes the pipes of a child that ended, so the pause is made anew for each chunk.
    if (!hasEnded && !stream.push(chunk)) socket.pause();
  });
  socket.on("end", end);
  // A pipe that breaks has ended: what was read is all there is.
  socket.on("error", end);
  socket.on("close", end);
  socket.pause();

  const watchOrphan = (bytesBefore: number): void => {
    idleTimer = clock.setTimer(() => {
      if (hasEnded) return;
      if (socket.bytesRead !== bytesBefore || socket.isPaused()) return watchOrphan(socket.bytesRead);
      end();
      socket.destroy();
    }, ORPHANED_PIPE_MS);
  };
  return {
    stream,
    markWritersGone: () => {
      if (!hasEnded && idleTimer === undefined) watchOrphan(socket.bytesRead);
    },
  };
}
