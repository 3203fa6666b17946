/**
 * The writing end of a process' standard input: ordered writes that resolve when the pipe took them.
 *
 * (N1) At most `MAX_PENDING_INPUT_BYTES` wait for a process that does not read; more is refused, not queued.
 * (N2) A process that ended, or closed its input, is a typed error of the write and never an uncaught one.
 */
import type { Writable } from "node:stream";
import { CortexError, MAX_PENDING_INPUT_BYTES } from "@cortex-mesh/protocol";

/** Standard input of a process. */
export interface InputPipe {
  write(bytes: Uint8Array): Promise<void>;
  end(): void;
  /** To call when the process is gone: what still waits is refused. */
  close(): void;
}

/** Writes to the pipe of a child process; `null` stands for a process without input. */
export function createInputPipe(pipe: Writable | null): InputPipe {
  if (pipe === null) {
    return {
      write: () => Promise.reject(new CortexError("BAD_REQUEST", "the task was started without standard input")),
      end: () => {},
      close: () => {},
    };
  }
  let pendingBytes = 0;
  let hasEnded = false;
  // Each write reports its own failure; a pipe that breaks between two of them shows at the next (N2).
  pipe.on("error", () => {
    hasEnded = true;
  });
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        if (hasEnded || !pipe.writable) return reject(inputEnded());
        if (pendingBytes + bytes.length > MAX_PENDING_INPUT_BYTES) return reject(inputFull());
        pendingBytes += bytes.length;
        pipe.write(bytes, (error) => {
          pendingBytes -= bytes.length;
          if (error) reject(inputEnded(error));
          else resolve();
        });
      }),
    end: () => {
      if (hasEnded) return;
      hasEnded = true;
      pipe.end();
    },
    close: () => {
      hasEnded = true;
      pipe.destroy();
    },
  };
}

function inputEnded(cause?: unknown): CortexError {
  return new CortexError("ALREADY_ENDED", "the standard input of the task has ended", { cause });
}

function inputFull(): CortexError {
  return new CortexError("QUOTA_EXCEEDED", `more than ${MAX_PENDING_INPUT_BYTES} bytes of input wait for the task`, {
    details: { limitBytes: MAX_PENDING_INPUT_BYTES },
  });
}
