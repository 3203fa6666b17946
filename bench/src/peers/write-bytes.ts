/** Writes to a bare grpc-js stream as fast as it takes messages, and no faster. */
import { once } from "node:events";
import type { Writable } from "node:stream";

/** Writes `message` again and again until `totalBytes` are written; the last one may be shorter. */
export async function writeBytes(
  stream: Writable,
  { message, totalBytes }: { readonly message: Buffer; readonly totalBytes: number },
): Promise<void> {
  for (let leftBytes = totalBytes; leftBytes > 0; leftBytes -= message.byteLength) {
    const next = leftBytes >= message.byteLength ? message : message.subarray(0, leftBytes);
    if (!stream.write(next)) await once(stream, "drain");
  }
}
