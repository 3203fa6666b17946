/**
 * Stands between hub and node on the control stream: says a signed grant again in a frame of its own, as a hub or a proxy
 * gone wrong might, and counts what the rules that can be broken had to stand.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { PAYLOAD_TYPES } from "@cortex-mesh/protocol";
import {
  HubTaskFrameSchema,
  LogFrameSchema,
  type NodeTaskFrame,
  NodeTaskFrameSchema,
  TaskGrantSchema,
} from "@cortex-mesh/protocol/gen";
import type { FrameTamper, StreamKind } from "../mesh/wire.js";
import type { SeededRandom } from "../random.js";
import type { Figures } from "./figures.js";

/** What a tamper works with. */
export interface TamperOptions {
  readonly random: SeededRandom;
  readonly figures: Figures;
  /** How often a grant is said again. */
  readonly replayRatio: () => number;
  /** Reports reach the hub with the attempt that it gave last, as if it did not compare. */
  readonly isAttemptRewritten: boolean;
}

/** Makes the tamper of a history. */
export function createTamper(options: TamperOptions): FrameTamper {
  /** The attempt that was granted last, by task. */
  const attempts = new Map<string, number>();
  return {
    down: (kind) => (kind === "tasks" ? createReplay(options, attempts) : (frame) => [frame]),
    up: (kind) => (frame) => [rewrite(options, attempts, { kind, frame })],
  };
}

function createReplay(
  { random, figures, replayRatio }: TamperOptions,
  attempts: Map<string, number>,
): (frame: Uint8Array) => readonly Uint8Array[] {
  /** Frames that were added: what follows is numbered anew. */
  let added = 0n;
  return (bytes) => {
    const frame = fromBinary(HubTaskFrameSchema, bytes);
    const renumber = (): Uint8Array =>
      added === 0n ? bytes : toBinary(HubTaskFrameSchema, { ...frame, seq: frame.seq + added });
    const first = renumber();
    if (frame.body.case !== "grant" || frame.body.value.payloadType !== PAYLOAD_TYPES.taskGrant) return [first];
    const { task, attempt } = fromBinary(TaskGrantSchema, frame.body.value.payload);
    if (task !== undefined) attempts.set(task.taskId, Math.max(attempt, attempts.get(task.taskId) ?? 0));
    if (!random.chance(replayRatio())) return [first];
    figures.count("replay");
    figures.count("grant of a known attempt");
    added += 1n;
    return [first, renumber()];
  };
}

function rewrite(
  { figures, isAttemptRewritten }: TamperOptions,
  attempts: ReadonlyMap<string, number>,
  { kind, frame }: { readonly kind: StreamKind; readonly frame: Uint8Array },
): Uint8Array {
  if (kind === "health") return frame;
  if (kind === "logs") return isAttemptRewritten ? rewriteLog(frame, attempts) : frame;
  const decoded = fromBinary(NodeTaskFrameSchema, frame);
  const named = reported(decoded);
  const current = named === undefined ? undefined : attempts.get(named.taskId);
  if (named === undefined || current === undefined || named.attempt >= current) return frame;
  figures.count("report of an older attempt");
  if (!isAttemptRewritten) return frame;
  named.attempt = current;
  return toBinary(NodeTaskFrameSchema, decoded);
}

/** The report in a frame, to be changed in place. */
function reported({ body }: NodeTaskFrame): { readonly taskId: string; attempt: number } | undefined {
  switch (body.case) {
    case "started":
    case "response":
    case "declined":
      return body.value;
    default:
      return undefined;
  }
}

function rewriteLog(bytes: Uint8Array, attempts: ReadonlyMap<string, number>): Uint8Array {
  const frame = fromBinary(LogFrameSchema, bytes);
  if (frame.log?.name.case !== "task") return bytes;
  const { taskId, attempt } = frame.log.name.value;
  const current = attempts.get(taskId) ?? attempt;
  if (current === attempt) return bytes;
  frame.log.name.value.attempt = current;
  return toBinary(LogFrameSchema, create(LogFrameSchema, frame));
}
