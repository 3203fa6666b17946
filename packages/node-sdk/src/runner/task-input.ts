/**
 * Standard input of one attempt: pieces arrive by offset, maybe twice or with a hole, and go in once and in order.
 *
 * (I1) A piece that starts behind what was received is ignored: it comes again after the next acknowledgement.
 * (I2) What was received and not taken by the task is bounded; what is over the bound is ignored likewise.
 */
import { MAX_PENDING_INPUT_BYTES } from "@cortex-mesh/protocol";
import type { SkillInputSink } from "../skills/node-skill.js";

/** Bytes for standard input; `offset` counts from the start of the attempt. */
export interface InputPiece {
  readonly offset: number;
  readonly data: Uint8Array;
  readonly eof: boolean;
}

/** What the task has taken. */
export interface InputAck {
  readonly offset: number;
  /** It takes no more. */
  readonly closed: boolean;
}

/** Standard input of one attempt. */
export interface TaskInput {
  /** Bytes that the task has taken. */
  readonly takenBytes: number;
  receive(piece: InputPiece): void;
  /** The task has ended. */
  close(): void;
}

/** Makes the input of an attempt; `sink` is undefined when it takes none. */
export function createTaskInput(sink: SkillInputSink | undefined, onTaken: (ack: InputAck) => void): TaskInput {
  let receivedBytes = 0;
  let takenBytes = 0;
  let isClosed = sink === undefined;
  let eofAt: number | undefined;

  const say = (): void => onTaken({ offset: takenBytes, closed: isClosed || takenBytes === eofAt });

  function write(target: SkillInputSink, bytes: Uint8Array): void {
    receivedBytes += bytes.byteLength;
    target.write(bytes).then(
      () => {
        takenBytes += bytes.byteLength;
        if (!isClosed) say();
      },
      () => {
        if (isClosed) return;
        isClosed = true;
        say();
      },
    );
  }

  return {
    get takenBytes() {
      return takenBytes;
    },
    receive({ offset, data, eof }) {
      if (sink === undefined || isClosed) return say();
      if (offset > receivedBytes) return;
      const fresh = eofAt === undefined ? data.subarray(receivedBytes - offset) : data.subarray(data.byteLength);
      if (receivedBytes - takenBytes + fresh.byteLength > MAX_PENDING_INPUT_BYTES) return;
      // Copied: what arrives is a view on a message that is larger.
      if (fresh.byteLength > 0) write(sink, Uint8Array.from(fresh));
      if (eof && eofAt === undefined) {
        eofAt = receivedBytes;
        sink.end();
      }
      if (takenBytes === receivedBytes) say();
    },
    close() {
      isClosed = true;
    },
  };
}
