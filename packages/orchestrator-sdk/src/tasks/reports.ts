/**
 * What nodes report about attempts: started, declined, ended. A report counts only when it comes over the connection that
 * holds the attempt (node and epoch) and names the current attempt; every other one is answered and noted, never applied.
 */
import { CortexError, type NodeId, type TaskId } from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import type { JsonObject, TaskRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { ApplyExtra, TaskWriter } from "./commit.js";
import { isFinal, type TaskInputEvent } from "./machine.js";
import type { OutputReceiver } from "./output.js";
import { mayReport } from "./output-sink.js";
import type { AttemptEnd } from "./task-changes.js";

/** Who reports, about what. */
export interface ReportSource {
  readonly nodeId: NodeId;
  readonly epoch: number;
  readonly taskId: TaskId;
  readonly attempt: number;
}

/** The end of an attempt as it travels, with the last number of its output log. */
export interface EndReport extends AttemptEnd {
  readonly lastLogSeq: number;
}

/** Takes the reports of nodes. */
export interface TaskReports {
  started(source: ReportSource, isolation: JsonObject | undefined): Promise<void>;
  declined(
    source: ReportSource,
    refusal: { readonly error: { readonly code: string; readonly message: string }; readonly isFinal: boolean },
  ): Promise<void>;
  stalled(source: ReportSource, stalled: boolean): Promise<void>;
  /**
   * Settles the attempt once its output is complete. Resolves with true when the node may forget the attempt: it is
   * settled, or nobody wants it. Rejects when it could not be settled now; the node reports again.
   */
  ended(source: ReportSource, report: EndReport): Promise<boolean>;
}

/** What the reports need. */
export interface TaskReportsOptions {
  readonly store: HubStore;
  readonly writer: TaskWriter;
  readonly output: OutputReceiver;
  /** A report that was not applied, for the log. */
  readonly onLateReport: (source: ReportSource, reason: string) => void;
}

/** Thrown inside a transaction to leave it without a change. */
class ForeignReport extends CortexError {}

/** Only the connection that holds the attempt may report about it. */
async function assertHolder(source: ReportSource, { nodeId, epoch, state }: TaskRecord): Promise<void> {
  // A lost attempt was not adopted by a newer connection of its node; its result may still come over that one.
  const isHolder = epoch === source.epoch || (state === "indeterminate" && epoch < source.epoch);
  if (nodeId === source.nodeId && isHolder) return;
  throw new ForeignReport("SUPERSEDED", `the attempt belongs to ${nodeId ?? "no node"}, epoch ${epoch}`);
}

/** Makes the taker of reports. */
export function createTaskReports(options: TaskReportsOptions): TaskReports {
  const { store, writer, output } = options;

  /** Applies a report; false when it was not the reporter's to make, so that nothing was decided. */
  const apply = async (source: ReportSource, event: TaskInputEvent, also?: ApplyExtra["also"]): Promise<boolean> => {
    try {
      const written = await writer.apply(source.taskId, event, {
        check: (task) => assertHolder(source, task),
        ...(also === undefined ? {} : { also }),
      });
      if (written?.outcome.kind === "refused") options.onLateReport(source, written.outcome.reason);
      return written !== undefined;
    } catch (error) {
      if (!(error instanceof ForeignReport)) throw error;
      options.onLateReport(source, error.message);
      return false;
    }
  };
  /** Whether the attempt is still one whose end can change something. */
  const isWanted = async (source: ReportSource): Promise<boolean> => {
    const task = await store.tasks.get(systemScope, source.taskId);
    return task !== undefined && mayReport(task, source);
  };

  return {
    async started(source, isolation) {
      await apply(source, { type: "start", attempt: source.attempt, isolation });
    },
    async declined(source, refusal) {
      const note = `${source.nodeId} declined: ${refusal.error.message}`;
      const event = {
        type: "notStarted",
        attempt: source.attempt,
        refusal: refusal.isFinal ? refusal.error : undefined,
        note,
      } as const;
      await apply(source, event);
    },
    async stalled(source, stalled) {
      await apply(source, { type: "stall", attempt: source.attempt, stalled });
    },
    async ended(source, report) {
      if (!(await isWanted(source))) {
        options.onLateReport(source, "the attempt is settled or not the current one");
        return true;
      }
      if (!(await output.committed(source, report.lastLogSeq))) return !(await isWanted(source));
      const { lastLogSeq, ...end } = report;
      const isDecided = await apply(source, { type: "end", attempt: source.attempt, end }, async (task, tx) => {
        const record = await tx.events.output(systemScope, source.taskId);
        if (record === undefined) return;
        await tx.events.setOutput({
          ...record,
          attempt: source.attempt,
          originSeq: lastLogSeq,
          complete: isFinal(task.state) && !record.hasGap,
        });
      });
      // Also a node that does not know the outcome has said all that it ever will.
      return isDecided || !(await isWanted(source));
    },
  };
}
