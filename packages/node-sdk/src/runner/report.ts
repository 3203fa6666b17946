/** What the node tells the hub about tasks; the link numbers and sends it, or drops it while there is none. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { NodeTaskFrameSchema } from "@cortex-mesh/protocol/gen";

/** One statement of the node. What must not be lost is durable and said again on the next connection. */
export type NodeReport = Extract<
  NonNullable<MessageInitShape<typeof NodeTaskFrameSchema>["body"]>,
  { readonly case: string }
>;

/** Takes statements in order. Never throws. */
export type ReportSink = (report: NodeReport) => void;
