/** The kinds of records in a task's log on the node; their numbers are those of `LogKind` on the wire. */
import { LogKind } from "@cortex-mesh/protocol/gen";

/** Kinds by what a record holds. A gap is the log's own kind. */
export const RECORD_KINDS = {
  stdout: LogKind.STDOUT,
  stderr: LogKind.STDERR,
  progress: LogKind.PROGRESS,
} as const;
