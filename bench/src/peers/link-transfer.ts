/** Moves bytes over a link as `TransferFrame`s, encoded and decoded as a blob would be. */
import { create, toBinary } from "@bufbuild/protobuf";
import type { Link } from "@cortex-mesh/protocol";
import { TransferFrameSchema } from "@cortex-mesh/protocol/gen";
import type { TransferOptions } from "./requests.js";

/** Sends `totalBytes` in chunks, as fast as the link takes them and no faster. */
export async function sendChunks(link: Link, { totalBytes, messageBytes }: TransferOptions): Promise<void> {
  const content = Buffer.alloc(messageBytes, 1);
  for (let offset = 0; offset < totalBytes; offset += messageBytes) {
    const data = content.subarray(0, Math.min(messageBytes, totalBytes - offset));
    const body = { case: "chunk", value: { offset: BigInt(offset), data } } as const;
    const frame = create(TransferFrameSchema, { transferId: 1n, epoch: 1n, body });
    await sendWhenDrained(link, toBinary(TransferFrameSchema, frame));
  }
}

/** The frame that ends a transfer. */
export function doneFrame(totalBytes: number): Uint8Array {
  const body = { case: "done", value: { sizeBytes: BigInt(totalBytes) } } as const;
  return toBinary(TransferFrameSchema, create(TransferFrameSchema, { transferId: 1n, epoch: 1n, body }));
}

/** The frame that asks for a transfer. */
export function wantFrame(): Uint8Array {
  const body = { case: "want", value: { offset: 0n } } as const;
  return toBinary(TransferFrameSchema, create(TransferFrameSchema, { transferId: 1n, epoch: 1n, body }));
}

/** Waits until the link wants more, then sends: the discipline of every sender of bulk. */
export async function sendWhenDrained(link: Link, frame: Uint8Array): Promise<void> {
  await link.drained();
  link.send(frame);
}
