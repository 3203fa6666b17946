/** Row: everything that a task prints, read by the hub's user while it is printed, with all state in memory. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { isInMemory } from "../machine.js";
import type { MemoryFigures, NoisyTask } from "../peers/hub.js";
import { type Mesh, openMesh } from "../peers/mesh.js";
import { openBarePair, type PeerPair } from "../peers/pairs.js";
import type { Measurement, Row, RunOptions } from "../row.js";
import { sampleInTurn } from "../sampling.js";
import { median } from "../statistics.js";

const SHARED_MEMORY = "/dev/shm";
const MEGABYTE = 1_000_000;
/** What the floor writes at once: it is measured with each, and the faster one is the floor. */
const FLOOR_MESSAGE_BYTES: readonly number[] = [64 * 1024, 256 * 1024];
/** Lines are numbered, so that bytes that come out of order are other bytes. */
const LINE_BYTES = 64;
const LINES_A_WRITE = 16_384;

/** The row. */
export const noisyOutput: Row = {
  name: "noisy-output",
  what: "output of one task to a reader of its events in the hub's process, state of hub and node in memory, TLS",
  floor:
    "bare grpc-js upload of as many bytes over TLS, windows of 8 MiB, messages of 64 or 256 KiB, whichever is faster",
  bar: { kind: "atLeast", ratio: 0.4 },
  knownFloor: 363,
  obstacle: () =>
    existsSync(SHARED_MEMORY) && isInMemory(SHARED_MEMORY) ? undefined : `this machine has no ${SHARED_MEMORY}`,
  measure,
};

async function measure({ isQuick }: RunOptions): Promise<readonly Measurement[]> {
  const directory = await mkdtemp(join(SHARED_MEMORY, "cortex-bench-"));
  try {
    const totalBytes = (isQuick ? 64 : 512) * MEGABYTE;
    const text = await writeLines(join(directory, "lines"), totalBytes);
    const task: NoisyTask = {
      command: `cat ${text.path}`,
      sizeBytes: totalBytes,
      sha256: text.sha256,
      isReaderHashing: false,
    };
    await using bare = await openBarePair({ isTuned: true });
    await using mesh = await openMesh(directory);
    const messageBytes = await fasterMessageBytes(bare, totalBytes);
    // Once with the hash over what the reader gets; it would count as work of Cortex in the measured runs.
    await mesh.hub.call("runNoisy", { ...task, isReaderHashing: true });
    const before = await memoryOf(mesh);
    const samples = await sampleInTurn(
      {
        floor: async () => (await bare.client.call<number>("upload", { totalBytes, messageBytes })) / MEGABYTE,
        subject: async () => (await mesh.hub.call<number>("runNoisy", task)) / MEGABYTE,
      },
      { warmUp: 1, rounds: isQuick ? 3 : 7 },
    );
    const facts = { outputBytes: totalBytes, floorMessageBytes: messageBytes, ...growth(before, await memoryOf(mesh)) };
    return [{ label: "upload", unit: "MB/s", ...samples, facts }];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Writes numbered lines of text to a file, and hashes them. */
async function writeLines(
  path: string,
  totalBytes: number,
): Promise<{ readonly path: string; readonly sha256: string }> {
  const hash = createHash("sha256");
  const file = await open(path, "wx");
  try {
    let line = 0;
    for (let leftBytes = totalBytes; leftBytes > 0; ) {
      const lines = Array.from(
        { length: LINES_A_WRITE },
        () => `${String((line += 1)).padStart(LINE_BYTES - 1, ".")}\n`,
      );
      const bytes = Buffer.from(lines.join(""), "latin1").subarray(0, leftBytes);
      hash.update(bytes);
      await file.writeFile(bytes);
      leftBytes -= bytes.byteLength;
    }
  } finally {
    await file.close();
  }
  return { path, sha256: hash.digest("hex") };
}

async function fasterMessageBytes(bare: PeerPair, totalBytes: number): Promise<number> {
  let best = { messageBytes: 0, rate: 0 };
  for (const messageBytes of FLOOR_MESSAGE_BYTES) {
    const rates: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      rates.push(await bare.client.call<number>("upload", { totalBytes, messageBytes }));
    }
    const rate = median(rates);
    if (rate > best.rate) best = { messageBytes, rate };
  }
  return best.messageBytes;
}

interface MeshMemory {
  readonly hub: MemoryFigures;
  readonly node: MemoryFigures;
}

async function memoryOf({ hub, node }: Mesh): Promise<MeshMemory> {
  return { hub: await hub.call<MemoryFigures>("memory"), node: await node.call<MemoryFigures>("memory") };
}

function growth(before: MeshMemory, after: MeshMemory): Readonly<Record<string, number>> {
  const inMib = (bytes: number): number => Math.round(bytes / 2 ** 20);
  return {
    hubRssBeforeMib: inMib(before.hub.rssBytes),
    hubRssAfterMib: inMib(after.hub.rssBytes),
    hubRssMaxMib: inMib(after.hub.maxRssBytes),
    nodeRssBeforeMib: inMib(before.node.rssBytes),
    nodeRssAfterMib: inMib(after.node.rssBytes),
    nodeRssMaxMib: inMib(after.node.maxRssBytes),
  };
}
