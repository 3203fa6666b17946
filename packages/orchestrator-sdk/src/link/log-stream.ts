/** The data stream for logs: output records up, cumulative acknowledgements down, never read faster than they are committed. */
import { create, toBinary } from "@bufbuild/protobuf";
import { CortexError, type Link, MAX_OUTPUT_CHUNK_BYTES } from "@cortex-mesh/protocol";
import { LogAckSchema, LogFrameSchema } from "@cortex-mesh/protocol/gen";
import type { OutputReceiver } from "../tasks/output.js";
import type { OutputReply } from "../tasks/output-sink.js";
import type { HubConnection } from "./hub-connection.js";
import { untilTaken } from "./until-taken.js";
import { readFrame, readPiece, readTaskId } from "./wire.js";

/** Handles one log stream of a connection. */
export function attachLogs(connection: HubConnection, link: Link, output: OutputReceiver): void {
  const reply: OutputReply = {
    answer({ taskId, attempt, throughSeq, resend, refused }) {
      const log = { name: { case: "task", value: { taskId, attempt } } } as const;
      link.send(toBinary(LogAckSchema, create(LogAckSchema, { log, throughSeq: BigInt(throughSeq), resend, refused })));
    },
    // The node opens another one, after a while, and sends what was not acknowledged.
    fail: (reason) => link.close(reason),
  };
  connection.attachLink(link, "data");
  link.onFrames(async (frames) => {
    for (const bytes of frames) {
      if (connection.isClosed) return;
      const frame = readFrame(LogFrameSchema, bytes);
      if (frame.epoch !== BigInt(connection.epoch) || frame.log?.name.case !== "task") continue;
      if (frame.data.byteLength > MAX_OUTPUT_CHUNK_BYTES)
        throw new CortexError("TOO_LARGE", "a log record is over its limit");
      const { taskId, attempt } = frame.log.name.value;
      output.receive({ taskId: readTaskId(taskId), attempt, nodeId: connection.nodeId }, readPiece(frame), reply);
    }
    await output.room();
    await untilTaken(link);
  });
}
