import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openSegmentLog } from "../../src/log/open-segment-log.js";
import { MAX_RECORD_BYTES } from "../../src/log/record.js";
import { DEFAULT_MEMORY_BYTES, MAX_PENDING_BYTES } from "../../src/log/segment-log.js";
import { openTempDir } from "./support/open-temp-dir.js";

describe("segment log under load", () => {
  it("X4: 200 MiB that nobody reads stay within the memory bounds when the producer waits for room", async () => {
    await using dir = await openTempDir();
    const log = await openSegmentLog({ directory: join(dir.path, "log") });
    const recordBytes = 64 * 1024;
    let peakBytes = 0;
    let peakPendingBytes = 0;
    for (let index = 0; index < 3_200; index += 1) {
      if (!log.canAppend) await log.ready();
      log.append(1, Buffer.alloc(recordBytes, index % 251));
      peakBytes = Math.max(peakBytes, log.memoryBytes);
      peakPendingBytes = Math.max(peakPendingBytes, log.pendingBytes);
    }
    await log.flush();
    expect(peakPendingBytes).toBeLessThan(MAX_PENDING_BYTES + 2 * recordBytes);
    expect(peakBytes).toBeLessThan(MAX_PENDING_BYTES + DEFAULT_MEMORY_BYTES + MAX_RECORD_BYTES);
    let afterSeq = 0;
    while (afterSeq < 3_200) {
      for (const { seq, payload } of await log.read({ afterSeq, maxBytes: 1024 * 1024 })) {
        expect(seq).toBe(afterSeq + 1);
        expect([payload[0], payload.at(-1)]).toEqual([(seq - 1) % 251, (seq - 1) % 251]);
        afterSeq = seq;
      }
    }
    await log.delete();
  });
});
