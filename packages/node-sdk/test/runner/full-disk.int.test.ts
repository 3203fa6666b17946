import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Outcome } from "@cortex-mesh/protocol/gen";
import { openSqliteState } from "../../src/state/sqlite-state.js";
import { taskIdOf } from "../support/scripted-hub.js";
import { startNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";

const DISK_BYTES = 24 * 1024 * 1024;
const PIECE_BYTES = 100_000;

interface SmallDisk extends Disposable {
  readonly path: string;
  /** Leaves so many bytes. */
  fill(leftBytes: number): void;
  empty(): void;
}

/** A disk of its own; undefined where this user may not mount one. */
function mountSmallDisk(): SmallDisk | undefined {
  const path = mkdtempSync(join(tmpdir(), "cortex-small-disk-"));
  const filler = join(path, "filler");
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "tmpfs", path], { stdio: "ignore" });
  } catch {
    rmSync(path, { recursive: true });
    return undefined;
  }
  return {
    path,
    fill(leftBytes) {
      const { bavail, bsize } = statfsSync(path);
      writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - leftBytes)));
    },
    empty: () => rmSync(filler),
    [Symbol.dispose]() {
      // Lazily: the database lets go of its files when its statements are collected.
      execFileSync("umount", ["-l", path]);
      rmSync(path, { recursive: true });
    },
  };
}

function canMount(): boolean {
  const disk = mountSmallDisk();
  disk?.[Symbol.dispose]();
  return disk !== undefined;
}

const isMountable = canMount();
const why = isMountable ? "" : " (skipped: this user may not mount a disk)";

/** A node with a disk of its own whose task 1 runs and whose hub is away. */
async function startOnSmallDisk(disk: SmallDisk) {
  const node = await startNode({}, { directory: join(disk.path, "spool") });
  const first = await node.hub.connection(1);
  first.dispatch({ index: 1 });
  await first.heard("started", 1);
  first.cut();
  await settle();
  return { node, run: node.probe.runs.get(taskIdOf(1))! };
}

describe.skipIf(!isMountable)(`a node whose disk is full${why}`, () => {
  it("T8: holds a task that prints; the node lives, and nothing is lost when there is room again", async () => {
    using disk = mountSmallDisk()!;
    const { node, run } = await startOnSmallDisk(disk);
    await using _ = node;
    disk.fill(1024 * 1024);
    let writes = 0;
    const writing = (async () => {
      for (; writes < 100; writes += 1)
        await run.request.write("stdout", Buffer.alloc(PIECE_BYTES, 65 + (writes % 26)));
    })();
    await waitUntil(() => node.spool.list()[0]?.log.canAppend === false && node.spool.list()[0], "the log to be full");
    const heldAt = writes;
    await settle();
    expect(writes).toBe(heldAt);
    expect(heldAt).toBeLessThan(100);
    // It serves its hub, and another task runs meanwhile.
    await node.clock.advance(1_000);
    const second = await node.hub.connection(2);
    second.dispatch({ index: 2, skill: "shell", input: { argv: ["true"] } });
    expect(await second.heard("response", 2)).toMatchObject({ outcome: Outcome.SUCCEEDED });
    disk.empty();
    await node.clock.advance(1_000);
    await writing;
    run.exit(0);
    expect(await second.heard("response", 1)).toMatchObject({ outcome: Outcome.SUCCEEDED });
    await waitUntil(() => node.hub.output(1).text.length === 100 * PIECE_BYTES, "all of it");
    expect(node.hub.output(1)).toMatchObject({ gapBytes: 0, holes: [] });
  });

  it("T8: says how much is lost of a task that ends while the disk stays full", async () => {
    using disk = mountSmallDisk()!;
    const { node, run } = await startOnSmallDisk(disk);
    await using _ = node;
    disk.fill(1024 * 1024);
    const writing = (async () => {
      for (let piece = 0; piece < 100; piece += 1) await run.request.write("stdout", Buffer.alloc(PIECE_BYTES, 65));
    })();
    await waitUntil(() => node.spool.list()[0]?.log.canAppend === false && node.spool.list()[0], "the log to be full");
    const { log } = node.spool.list()[0]!;
    await expect(log.flush()).rejects.toMatchObject({ code: "STORAGE_FULL" });
    await settle();
    const heldBytes = log.nextSeq * PIECE_BYTES - PIECE_BYTES;
    run.exit(0);
    await writing;
    // Time goes by while there is no room: the end waits, also where the hub is there to hear it.
    await node.clock.advance(3_000);
    const second = await node.hub.connection(2);
    await settle();
    expect(log.canAppend).toBe(false);
    expect(second.said("response", 1)).toEqual([]);
    disk.empty();
    await node.clock.advance(2_000);
    expect(await second.heard("response", 1)).toMatchObject({ outcome: Outcome.SUCCEEDED });
    await waitUntil(() => node.hub.output(1).gapBytes > 0, "the gap");
    // The piece that waited is in the gap; what came after the end is not the task's any more.
    expect(node.hub.output(1)).toMatchObject({ gapBytes: PIECE_BYTES });
    expect(node.hub.output(1).text).toHaveLength(heldBytes);
  });

  it("T8: refuses what it cannot note down, before it starts, and takes the next when there is room again", async () => {
    using disk = mountSmallDisk()!;
    const state = openSqliteState(join(disk.path, "node.db"));
    await using node = await startNode({ state });
    const hub = await node.hub.connection(1);
    disk.fill(0);
    // What the file has left over takes a few more.
    let index = 0;
    await waitUntil(() => {
      if (index < 400) hub.dispatch({ index: (index += 1) });
      return hub.said("declined").length > 0;
    }, "a refusal");
    const [declined] = hub.said("declined");
    expect(declined).toMatchObject({ errorCode: "STORAGE_FULL", final: false });
    await settle();
    expect(node.probe.starts.has(declined!.taskId)).toBe(false);
    expect(hub.isOver).toBe(false);
    disk.empty();
    await settle();
    hub.dispatch({ index: 900 });
    await waitUntil(
      () => hub.said("started", 900).length + hub.said("accepted", 900).length > 0,
      "the next one to be taken",
    );
    await state.close();
  });
});
