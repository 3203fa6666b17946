/** The output files of a hub in memory: what an append acknowledged is durable, what it was doing when the process died may be there in part. */

import type { OutputFiles } from "@cortex-mesh/orchestrator-sdk";
import { CortexError } from "@cortex-mesh/protocol";
import type { SeededRandom } from "../random.js";

/** Places of an append where a hub can die: nothing is written yet; everything is, but nobody was told. */
export type OutputStep = "appending" | "appended";

/** The output files of a hub's machine. */
export interface MemoryOutput {
  /** The files as one process uses them. */
  open(onStep?: (step: OutputStep) => void): OutputProcess;
}

/** The files as one process uses them. */
export interface OutputProcess extends OutputFiles {
  /** The process is gone: what it was writing is there in part. */
  end(random: SeededRandom): void;
}

interface Append {
  readonly key: string;
  readonly offset: number;
  readonly bytes: Buffer;
}

/** Bytes by task and stream; files only grow, and what lies beyond the committed length is overwritten. */
type Content = Map<string, Buffer>;

/** Makes the files of a machine. */
export function createMemoryOutput(): MemoryOutput {
  const content: Content = new Map();
  return { open: (onStep = () => undefined) => openProcess(content, onStep) };
}

function openProcess(content: Content, onStep: (step: OutputStep) => void): OutputProcess {
  let isGone = false;
  const writing = new Set<Append>();
  const append = (made: Append, settle: () => void): void => {
    if (!isGone) onStep("appending");
    if (isGone) return;
    write(content, made);
    onStep("appended");
    if (isGone) return;
    writing.delete(made);
    settle();
  };
  return {
    end(random) {
      isGone = true;
      for (const made of writing) {
        write(content, { ...made, bytes: made.bytes.subarray(0, random.integer(made.bytes.byteLength)) });
      }
    },
    append: (taskId, stream, { offset, chunks }) =>
      new Promise((resolve) => {
        const made = { key: `${taskId}/${stream}`, offset, bytes: Buffer.concat(chunks) };
        writing.add(made);
        queueMicrotask(() => append(made, resolve));
      }),
    async *read(taskId, stream, { start, end }) {
      if (end <= start) return;
      const bytes = content.get(`${taskId}/${stream}`) ?? Buffer.alloc(0);
      if (bytes.byteLength < end) {
        throw new CortexError("DATA_CORRUPT", `output ends at ${bytes.byteLength}, ${end} bytes were committed`);
      }
      yield bytes.subarray(start, end);
    },
    release: () => Promise.resolve(),
    async remove(taskId) {
      content.delete(`${taskId}/stdout`);
      content.delete(`${taskId}/stderr`);
    },
    close: () => Promise.resolve(),
  };
}

function write(content: Content, { key, offset, bytes }: Append): void {
  const before = content.get(key) ?? Buffer.alloc(0);
  const after = Buffer.alloc(Math.max(before.byteLength, offset + bytes.byteLength));
  before.copy(after);
  bytes.copy(after, offset);
  content.set(key, after);
}
