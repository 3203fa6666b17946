/** The data stream for logs: output records up, cumulative acknowledgements down, never read faster than they are committed. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { CortexError, type Link, MAX_OUTPUT_CHUNK_BYTES } from "@cortex-mesh/protocol";
import { LogAckSchema, LogFrameSchema } from "@cortex-mesh/protocol/gen";
import type { OutputAnswer, OutputReceiver } from "../tasks/output.js";
import type { HubConnection } from "./hub-connection.js";
import { readPiece, readTaskId } from "./wire.js";

/** Handles the log stream of one connection. */
export function attachLogs(connection: HubConnection, link: Link, output: OutputReceiver): void {
  const answer = ({ taskId, attempt, throughSeq, resend, refused }: OutputAnswer): void => {
    const log = { name: { case: "task", value: { taskId, attempt } } } as const;
    link.send(toBinary(LogAckSchema, create(LogAckSchema, { log, throughSeq: BigInt(throughSeq), resend, refused })));
  };
  connection.attachLink(link);
  link.onFrames(async (frames) => {
    for (const bytes of frames) {
      const frame = fromBinary(LogFrameSchema, bytes);
      if (frame.epoch !== BigInt(connection.epoch) || frame.log?.name.case !== "task") continue;
      if (frame.data.byteLength > MAX_OUTPUT_CHUNK_BYTES) throw new CortexError("TOO_LARGE", "a log record is over its limit");
      const { taskId, attempt } = frame.log.name.value;
      output.receive({ taskId: readTaskId(taskId), attempt, nodeId: connection.nodeId }, readPiece(frame), answer);
    }
    await output.room();
  });
}
