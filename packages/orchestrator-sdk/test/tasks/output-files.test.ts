import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { systemIds } from "@cortex-mesh/protocol";
import { openOutputFiles } from "../../src/tasks/output-files.js";

async function openFiles() {
  const root = await mkdtemp(join(tmpdir(), "cortex-output-"));
  const files = await openOutputFiles(root);
  onTestFinished(async () => {
    await files.close();
    await rm(root, { recursive: true, force: true });
  });
  return { root, files };
}

describe("output files", () => {
  it("E4: more tasks at once than files stay open all keep their bytes", async () => {
    const { root, files } = await openFiles();
    const ids = Array.from({ length: 200 }, () => systemIds.next("task"));
    for (let round = 0; round < 2; round++) {
      const chunks = [Buffer.from(`${round}`)];
      await Promise.all(
        ids.flatMap((id) => [
          files.append(id, "stdout", { offset: round, chunks }),
          files.append(id, "stderr", { offset: round, chunks }),
        ]),
      );
    }
    for (const id of ids) expect(await readFile(join(root, id, "stderr"), "utf8")).toBe("01");
    // Descriptors of this process that lead into the directory.
    const open = await readdir("/proc/self/fd").catch(() => []);
    expect(open.length).toBeLessThan(400);
  });

  it("E4: letting go of a file waits for what is being written", async () => {
    const { root, files } = await openFiles();
    const id = systemIds.next("task");
    await files.append(id, "stdout", { offset: 0, chunks: [Buffer.from("a")] });
    const writes = Array.from({ length: 20 }, async (_, index) => {
      const other = systemIds.next("task");
      const written = files.append(other, "stdout", { offset: 0, chunks: [Buffer.alloc(100_000, index)] });
      const released = files.release(other);
      await Promise.all([written, released]);
    });
    await Promise.all(writes);
    expect(await readFile(join(root, id, "stdout"), "utf8")).toBe("a");
  });

  it("T8: nothing is written after the files were closed", async () => {
    const { files } = await openFiles();
    await files.close();
    const late = files.append(systemIds.next("task"), "stdout", { offset: 0, chunks: [Buffer.from("a")] });
    await expect(late).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});
