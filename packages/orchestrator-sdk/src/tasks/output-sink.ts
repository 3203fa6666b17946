/**
 * The log of one attempt on its way in: takes records in order, commits them in batches, answers after each commit.
 *
 * - K1 bytes go into the file, then offsets and events into the store, then the answer out.
 * - K2 whether the attempt may still report is asked before the file is touched and again inside the transaction.
 * - K3 what trickles is committed as it comes; what flows waits a moment, since a commit costs the same for many bytes.
 * - K4 a sink that failed or was retired takes nothing more; what it had not committed the node sends again.
 */
import { type Clock, type CortexError, type NodeId, type TaskId, toCortexError } from "@cortex-mesh/protocol";
import { createReceiveWindow, type Receipt, type ReceiveWindow } from "@cortex-mesh/protocol/log";
import { systemScope } from "../access/scope.js";
import type { OutputRecord, TaskRecord } from "../store/records.js";
import type { HubStore, StoreReads } from "../store/store.js";
import { isFinal } from "./machine.js";
import type { OutputFiles } from "./output-files.js";
import { createFill } from "./output-fill.js";
import { costOf, type OutputPiece, planEvents, takeBatch } from "./output-plan.js";

/** Names the log of one attempt and the node it came from. */
export interface OutputSource {
  readonly taskId: TaskId;
  readonly attempt: number;
  readonly nodeId: NodeId;
}

/** What to tell the node about a log. */
export interface OutputAnswer extends OutputSource {
  readonly throughSeq: number;
  readonly resend: boolean;
  readonly refused: boolean;
}

/** The stream that a record came by. */
export interface OutputReply {
  /** Says something about a log, after the commit. */
  answer(answer: OutputAnswer): void;
  /** Output cannot be taken now: the stream is to end, and the node sends what was not acknowledged on a new one. */
  fail(reason: CortexError): void;
}

/** One attempt's log on its way in. */
export interface OutputSink {
  /** Last record that is durable. */
  throughSeq(): number;
  /** The attempt is over, or not this node's. */
  isRefused(): boolean;
  /** Takes one record. The promise, if there is one, settles when nothing is being written any more; it never rejects. */
  take(piece: OutputPiece, reply: OutputReply): Promise<void> | undefined;
  /** Refuses everything from now on. Resolves when nothing is being written any more. */
  retire(): Promise<void>;
}

/** What a sink works with. */
export interface OutputSinkOptions {
  readonly source: OutputSource;
  readonly output: OutputRecord;
  readonly store: HubStore;
  readonly files: OutputFiles;
  readonly clock: Clock;
  /** So many bytes wait no more. */
  readonly onFreed: (bytes: number) => void;
  readonly onCommitted: (throughSeq: number) => void;
  /** It takes nothing more: `error` says why, or the attempt is over. */
  readonly onOver: (error: unknown) => void;
}

/** Whether the hub takes output and result of the attempt from its node. */
export function mayReport(task: TaskRecord, { attempt, nodeId }: Pick<OutputSource, "attempt" | "nodeId">): boolean {
  if (task.attempt !== attempt || task.nodeId !== nodeId) return false;
  return !isFinal(task.state) || (task.state === "indeterminate" && task.cause === "node_lost");
}

/** Makes the sink of an attempt that may report. */
export function createOutputSink(options: OutputSinkOptions): OutputSink {
  const { onFreed } = options;
  let { output } = options;
  const window = createReceiveWindow({ afterSeq: output.originSeq });
  const answers = createAnswers(options.source);
  const pending = createPending(options);
  let writing: Promise<void> | undefined;
  let state: "open" | "refused" | "failed" = "open";

  const stop = (next: "refused" | "failed"): void => {
    if (state === "open") state = next;
    pending.discard();
  };
  const end = (next: "refused" | "failed", error?: unknown): void => {
    stop(next);
    options.onOver(error);
    if (next === "refused") answers.refuse();
    else answers.fail(error);
  };
  const write = async (): Promise<void> => {
    try {
      while (!pending.isEmpty()) {
        const batch = await pending.next();
        if (batch.length === 0) return;
        const committed = await commitBatch(options, output, batch).finally(() => onFreed(costOf(batch)));
        if (committed === undefined) return end("refused");
        output = committed;
        options.onCommitted(output.originSeq);
        answers.committed(output.originSeq);
      }
    } catch (error) {
      end("failed", error);
    } finally {
      writing = undefined;
    }
  };
  return {
    throughSeq: () => output.originSeq,
    isRefused: () => state === "refused",
    take(piece, reply) {
      answers.over(reply);
      const verdict = state === "open" ? judge(window, piece) : state;
      if (verdict === "accept") {
        answers.closeHole();
        pending.add(piece);
        writing ??= write();
        return writing;
      }
      onFreed(costOf([piece]));
      if (verdict === "refused") answers.refuse();
      if (verdict === "duplicate") answers.committed(output.originSeq);
      if (verdict === "gap") answers.askAgain(output.originSeq);
      return undefined;
    },
    retire() {
      stop("refused");
      return writing ?? Promise.resolve();
    },
  };
}

/** Records that wait for their commit. */
interface Pending {
  /** Whether nothing waits; the output pauses then. */
  isEmpty(): boolean;
  add(piece: OutputPiece): void;
  /** The records of the next commit (K3), none when they were discarded meanwhile. */
  next(): Promise<readonly OutputPiece[]>;
  discard(): void;
}

function createPending({ clock, onFreed }: Pick<OutputSinkOptions, "clock" | "onFreed">): Pending {
  const fill = createFill(clock);
  const pieces: OutputPiece[] = [];
  return {
    isEmpty() {
      if (pieces.length > 0) return false;
      fill.paused();
      return true;
    },
    add(piece) {
      pieces.push(piece);
      fill.add(piece.bytes.byteLength);
    },
    async next() {
      await fill.wait();
      const batch = takeBatch(pieces);
      fill.took(batch.reduce((bytes, piece) => bytes + piece.bytes.byteLength, 0));
      return batch;
    },
    discard() {
      onFreed(costOf(pieces.splice(0)));
      fill.end();
    },
  };
}

/** A gap stands for all its numbers: it is new when the one that is expected is among them. */
function judge(window: ReceiveWindow, { seq, throughSeq = seq }: OutputPiece): Receipt {
  if (throughSeq === seq || seq > window.expectedSeq || throughSeq < window.expectedSeq) return window.accept(seq);
  window.reset(throughSeq);
  return "accept";
}

/** What is said about one log, over the stream by which its newest record came. */
interface Answers {
  over(reply: OutputReply): void;
  /** Also for a repeat: the first answer may have been lost with its connection. */
  committed(throughSeq: number): void;
  /** One question a hole and stream: what is behind the hole is dropped, and the node sends it all again once. */
  askAgain(throughSeq: number): void;
  closeHole(): void;
  refuse(): void;
  fail(error: unknown): void;
}

function createAnswers(source: OutputSource): Answers {
  let reply: OutputReply | undefined;
  let askedOver: OutputReply | undefined;
  const say = (throughSeq: number, what: { readonly resend: boolean; readonly refused: boolean }): void =>
    reply?.answer({ ...source, throughSeq, ...what });
  return {
    over(next) {
      reply = next;
    },
    committed: (throughSeq) => say(throughSeq, { resend: false, refused: false }),
    askAgain(throughSeq) {
      if (askedOver === reply) return;
      askedOver = reply;
      say(throughSeq, { resend: true, refused: false });
    },
    closeHole() {
      askedOver = undefined;
    },
    refuse: () => say(0, { resend: false, refused: true }),
    fail: (error) => reply?.fail(toCortexError(error, "UNAVAILABLE")),
  };
}

/** Makes a batch durable. The new state of the log, or nothing when the attempt may not report any more. */
async function commitBatch(
  { source, store, files }: Pick<OutputSinkOptions, "source" | "store" | "files">,
  output: OutputRecord,
  batch: readonly OutputPiece[],
): Promise<OutputRecord | undefined> {
  const { taskId, attempt } = source;
  if (!(await isCurrent(store, source))) return undefined;
  const planned = planEvents(batch, output);
  for (const write of planned.writes) await files.append(taskId, write.stream, write);
  const last = batch.at(-1);
  const originSeq = last?.throughSeq ?? last?.seq ?? output.originSeq;
  const hasGap = output.hasGap || planned.hasGap;
  const next = { ...output, ...planned.sizes, attempt, originSeq, hasGap };
  const isCommitted = await store.transaction(async (tx) => {
    if (!(await isCurrent(tx, source))) return false;
    await tx.events.append(taskId, planned.events);
    await tx.events.setOutput(next);
    return true;
  });
  return isCommitted ? next : undefined;
}

async function isCurrent(reads: Pick<StoreReads, "tasks">, source: OutputSource): Promise<boolean> {
  const task = await reads.tasks.get(systemScope, source.taskId);
  return task !== undefined && mayReport(task, source);
}
