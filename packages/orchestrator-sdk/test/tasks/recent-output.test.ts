import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { systemIds, type TaskId } from "@cortex-mesh/protocol";
import type { OutputFiles } from "../../src/tasks/output-files.js";
import { withRecentOutput } from "../../src/tasks/recent-output.js";

const MIB = 1024 * 1024;

/** Files in memory that count what is read back from them. */
function openCountedFiles(): { readonly files: OutputFiles; readonly readBytes: () => number; failNext(): void } {
  const contents = new Map<string, Uint8Array>();
  let readBytes = 0;
  let isFailing = false;
  const keyOf = (taskId: TaskId, stream: string): string => `${taskId}/${stream}`;
  const files: OutputFiles = {
    async append(taskId, stream, { offset, chunks }) {
      if (isFailing) {
        isFailing = false;
        throw new Error("the disk failed");
      }
      const before = contents.get(keyOf(taskId, stream)) ?? new Uint8Array(0);
      contents.set(keyOf(taskId, stream), Buffer.concat([before.subarray(0, offset), ...chunks]));
    },
    async *read(taskId, stream, { start, end }) {
      readBytes += end - start;
      yield (contents.get(keyOf(taskId, stream)) ?? new Uint8Array(0)).subarray(start, end);
    },
    release: async () => undefined,
    remove: async (taskId) => {
      contents.delete(keyOf(taskId, "stdout"));
    },
    close: async () => undefined,
  };
  return { files, readBytes: () => readBytes, failNext: () => void (isFailing = true) };
}

async function readAll(files: OutputFiles, taskId: TaskId, [start, end]: readonly [number, number]): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of files.read(taskId, "stdout", { start, end })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe("recent output", () => {
  it("E2: whatever is written and read, a reader gets the bytes of the file", async () => {
    const writes = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(writes, fc.nat(), fc.nat(), async (all, a, b) => {
        const taskId = systemIds.next("task");
        const files = withRecentOutput(openCountedFiles().files);
        let offset = 0;
        for (const chunk of all) {
          await files.append(taskId, "stdout", { offset, chunks: [chunk.subarray(0, 1), chunk.subarray(1)] });
          offset += chunk.byteLength;
        }
        const [start = 0, end = 0] = [a % (offset + 1), b % (offset + 1)].sort((x, y) => x - y);
        expect(await readAll(files, taskId, [start, end])).toEqual(Buffer.concat(all).subarray(start, end));
      }),
    );
  });

  it("E2: a reader that follows reads nothing back from disk", async () => {
    const counted = openCountedFiles();
    const files = withRecentOutput(counted.files);
    const taskId = systemIds.next("task");
    for (let offset = 0; offset < 8 * MIB; offset += MIB) {
      await files.append(taskId, "stdout", { offset, chunks: [Buffer.alloc(MIB, offset / MIB)] });
      expect((await readAll(files, taskId, [offset, offset + MIB])).every((byte) => byte === offset / MIB)).toBe(true);
    }
    expect(counted.readBytes()).toBe(0);
    expect((await readAll(files, taskId, [0, 10])).byteLength).toBe(10);
    expect(counted.readBytes()).toBe(10);
  });

  it("T5: what is kept is bounded over many noisy tasks, and oldest goes first", async () => {
    const counted = openCountedFiles();
    const files = withRecentOutput(counted.files);
    const ids = Array.from({ length: 12 }, () => systemIds.next("task"));
    for (const id of ids) await files.append(id, "stdout", { offset: 0, chunks: [Buffer.alloc(4 * MIB)] });
    for (const id of ids) await readAll(files, id, [3 * MIB, 4 * MIB]);
    expect(counted.readBytes()).toBe(8 * MIB);
  });

  it("T5: what is kept of many tiny records costs about their bytes, and is read without walking over each", async () => {
    const files = withRecentOutput(openCountedFiles().files);
    const taskId = systemIds.next("task");
    const lines = Array.from({ length: 20_000 }, (_, i) => Buffer.from(String.fromCharCode(97 + (i % 26))));
    for (let offset = 0; offset < lines.length; offset += 100) {
      await files.append(taskId, "stdout", { offset, chunks: lines.slice(offset, offset + 100) });
    }
    const pieces: Uint8Array[] = [];
    for await (const piece of files.read(taskId, "stdout", { start: 0, end: lines.length })) pieces.push(piece);
    expect(pieces.length).toBeLessThan(5);
    expect(Buffer.concat(pieces)).toEqual(Buffer.concat(lines));
  });

  it("E2: a write that failed is not kept, and a range written again gives the new bytes", async () => {
    const counted = openCountedFiles();
    const files = withRecentOutput(counted.files);
    const taskId = systemIds.next("task");
    await files.append(taskId, "stdout", { offset: 0, chunks: [Buffer.from("one ")] });
    counted.failNext();
    await expect(files.append(taskId, "stdout", { offset: 4, chunks: [Buffer.from("lost")] })).rejects.toThrow();
    await files.append(taskId, "stdout", { offset: 0, chunks: [Buffer.from("two ")] });
    await files.append(taskId, "stdout", { offset: 4, chunks: [Buffer.from("three")] });
    expect((await readAll(files, taskId, [0, 9])).toString()).toBe("two three");
    expect(counted.readBytes()).toBe(0);
  });
});
