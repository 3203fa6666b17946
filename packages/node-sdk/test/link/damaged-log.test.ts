import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CortexError } from "@cortex-mesh/protocol";
import { Outcome } from "@cortex-mesh/protocol/gen";
import { type LogFiles, nodeLogFiles } from "@cortex-mesh/protocol/log";
import type { DamagedLogs } from "../../src/runner/damaged-logs.js";
import { taskIdOf } from "../support/scripted-hub.js";
import { startNode, type TestNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";
import { systemError, watchFiles } from "../support/watch-files.js";

const PIECES = 40;
const PIECE_BYTES = 1_000;
/** Six records a file. */
const SEGMENT_BYTES = 6_000;

/** A node whose task 1 has written its output while the hub is away; `isEnded` when it has ended, too. */
async function startWithOutput(isEnded: boolean, files: LogFiles = nodeLogFiles): Promise<TestNode> {
  const node = await startNode({}, { segmentBytes: SEGMENT_BYTES, files });
  const first = await node.hub.connection(1);
  first.dispatch({ index: 1 });
  await first.heard("started", 1);
  first.cut();
  await settle();
  const run = node.probe.runs.get(taskIdOf(1))!;
  for (let piece = 1; piece <= PIECES; piece += 1) {
    await run.request.write("stdout", Buffer.from(`${piece}`.padEnd(PIECE_BYTES, ".")));
    await node.spool.list()[0]!.log.flush();
  }
  if (isEnded) {
    run.exit(0);
    await waitUntil(() => node.spool.list()[0]?.lastSeq === PIECES, "the end");
    await settle();
  }
  return node;
}

function segmentsOf(node: TestNode): string[] {
  const directory = join(node.directory, "spool", `${taskIdOf(1)}.1`);
  return readdirSync(directory)
    .sort()
    .map((name) => join(directory, name));
}

function flip(path: string | undefined, offset: number): void {
  if (path === undefined) throw new Error("there is no such file");
  const content = readFileSync(path);
  content[offset] = (content[offset] ?? 0) ^ 1;
  writeFileSync(path, content);
}

/** Damages the log, starts the next process, and gives what the hub gets. */
async function restart(node: TestNode, damage: (segments: readonly string[]) => void) {
  await node.crash(() => damage(segmentsOf(node)));
  const second = await node.hub.connection(2);
  const response = await second.heard("response", 1);
  const lastSeq = Number(response.lastLogSeq);
  const through = (): number => {
    const { seqs, holes } = node.hub.output(1);
    return Math.max(seqs.at(-1) ?? 0, Number(holes.at(-1)?.split("-")[1] ?? 0));
  };
  await waitUntil(() => through() === lastSeq, "the log through its last record");
  const pieces = node.hub
    .output(1)
    .text.split(/\.+/)
    .filter((piece) => piece !== "");
  return { response, lastSeq, pieces: pieces.map(Number), holes: node.hub.output(1).holes };
}

/** Lets the time go by in which a log is tried again. */
async function laterOn(node: TestNode): Promise<void> {
  const second = await node.hub.connection(2);
  await second.heard("response", 1);
  await settle();
  expect(node.hub.output(1).seqs).toEqual([]);
  while (node.spool.list().length === 0) {
    await node.clock.advance(1_000);
    await settle();
  }
}

function piecesBut(from: number, through: number): number[] {
  return Array.from({ length: PIECES }, (_, at) => at + 1).filter((piece) => piece < from || piece > through);
}

const INSIDE_SECOND_RECORD = 24 + 24 + PIECE_BYTES + 24 + 10;

describe("a node whose log is damaged", () => {
  it.each([
    ["first", 0, [2, 6]],
    ["middle", 2, [14, 18]],
    ["last", -1, [38, 40]],
  ])(
    "T8: starts; damage in the %s segment is a gap of its records, and the end follows",
    async (_, at, [from = 0, through = 0]) => {
      await using node = await startWithOutput(true);
      const { response, pieces, holes } = await restart(node, (segments) =>
        flip(segments.at(at), INSIDE_SECOND_RECORD),
      );
      expect(response).toMatchObject({ outcome: Outcome.SUCCEEDED, lastLogSeq: BigInt(PIECES) });
      expect(holes).toEqual([`${from}-${through}`]);
      expect(pieces).toEqual(piecesBut(from, through));
      await waitUntil(() => node.spool.list().length === 0, "the log to be deleted");
      // What was found is kept for the operator.
      const kept = readdirSync(join(node.directory, "spool", "damaged", `${taskIdOf(1)}.1`));
      expect(kept).toHaveLength(1);
    },
  );

  it.each([
    ["first", 0, [1, 6]],
    ["middle", 3, [19, 24]],
    ["last", -1, [37, 40]],
  ])("T8: starts; a %s segment that is gone is a gap, and the end follows", async (_, at, [from = 0, through = 0]) => {
    await using node = await startWithOutput(true);
    const { pieces, holes } = await restart(node, (segments) => rmSync(segments.at(at) ?? ""));
    expect(holes).toEqual([`${from}-${through}`]);
    expect(pieces).toEqual(piecesBut(from, through));
  });

  it("T8: starts; a log that is gone is one gap, and the end follows", async () => {
    await using node = await startWithOutput(true);
    const { pieces, holes } = await restart(node, (segments) => {
      for (const path of segments) rmSync(path);
    });
    expect(holes).toEqual([`1-${PIECES}`]);
    expect(pieces).toEqual([]);
  });

  it("T8: starts; a log that was cut short ends with a gap", async () => {
    await using node = await startWithOutput(true);
    const { pieces, holes } = await restart(node, (segments) => truncateSync(segments.at(-1) ?? "", 24 + 1024 + 100));
    expect(holes).toEqual([`38-${PIECES}`]);
    expect(pieces).toEqual(piecesBut(38, PIECES));
  });

  it("T8: of a task that ran, the gap reaches past every record that the hub may have, and its end is indeterminate", async () => {
    await using node = await startWithOutput(false);
    const { response, lastSeq, pieces, holes } = await restart(node, (segments) =>
      flip(segments.at(-1), INSIDE_SECOND_RECORD),
    );
    expect(response).toMatchObject({ outcome: Outcome.INDETERMINATE, cause: "node_lost" });
    expect(lastSeq).toBeGreaterThanOrEqual(PIECES);
    expect(holes).toEqual([`38-${lastSeq}`]);
    expect(pieces).toEqual(piecesBut(38, PIECES));
  });

  it("T8: damage that is found while the log is sent is a gap, and the end follows", async () => {
    await using node = await startWithOutput(true);
    node.hub.behaviour.callError = new CortexError("UNAVAILABLE", "not yet");
    await node.crash();
    flip(segmentsOf(node)[2], INSIDE_SECOND_RECORD);
    node.hub.behaviour.callError = undefined;
    await node.clock.advance(2_000);
    const second = await node.hub.connection(2);
    await second.heard("response", 1);
    await waitUntil(() => node.hub.output(1).seqs.at(-1) === PIECES, "the last record");
    expect(node.hub.output(1).holes).toEqual(["14-18"]);
    await waitUntil(() => node.spool.list().length === 0, "the log to be deleted");
  });

  it.each(["EMFILE", "ENOMEM", "EACCES"])(
    "T8: a log that cannot be opened for a while (%s) is left as it is; the node starts, and sends it later",
    async (code) => {
      const watched = watchFiles();
      await using node = await startWithOutput(true, watched.files);
      // A hub acknowledges an end when it has the output.
      node.hub.behaviour.acksResponses = false;
      const { pieces, holes } = await restart(node, () => {
        let refusals = 0;
        watched.fault = (operation) => {
          if (operation === "open" && (refusals += 1) <= 2) throw systemError(code);
        };
        void laterOn(node);
      });
      expect(pieces).toEqual(piecesBut(0, 0));
      expect(holes).toEqual([]);
      expect(existsSync(join(node.directory, "spool", "damaged"))).toBe(false);
      node.hub.connections.at(-1)!.send({ case: "responseAck", value: { taskId: taskIdOf(1), attempt: 1 } });
      await waitUntil(() => node.spool.list().length === 0, "the log to be deleted");
    },
  );

  it("T8: a task that ran ends as indeterminate, with all of its output, once its log can be opened", async () => {
    const watched = watchFiles();
    await using node = await startWithOutput(false, watched.files);
    await node.crash(() => {
      watched.fault = (operation, name) => {
        if (operation === "list" && name === `${taskIdOf(1)}.1`) throw systemError("EMFILE");
      };
    });
    const second = await node.hub.connection(2);
    await settle();
    expect(second.said("response", 1)).toEqual([]);
    watched.fault = () => undefined;
    await node.clock.advance(5_000);
    expect(await second.heard("response", 1)).toMatchObject({ outcome: Outcome.INDETERMINATE, lastLogSeq: 40n });
    await waitUntil(() => node.hub.output(1).seqs.length === PIECES, "all of it");
    expect(node.hub.output(1).holes).toEqual([]);
  });

  it("T8: a damaged log that cannot even be moved aside does not keep the node from starting", async () => {
    let isBroken = true;
    const damagedLogs: DamagedLogs = {
      keepFile: async () => {},
      async moveAside() {
        if (isBroken) throw systemError("EROFS");
        return 0;
      },
    };
    const watched = watchFiles();
    await using node = await startNode({}, { segmentBytes: SEGMENT_BYTES, files: watched.files, damagedLogs });
    const first = await node.hub.connection(1);
    first.dispatch({ index: 1 });
    await first.heard("started", 1);
    await node.probe.runs.get(taskIdOf(1))!.request.write("stdout", Buffer.from("x"));
    await waitUntil(() => node.hub.output(1).text === "x", "the output");
    await node.crash(() => {
      watched.fault = (operation, name) => {
        if (operation === "list" && name === `${taskIdOf(1)}.1`) throw systemError("EIO");
      };
    });
    const second = await node.hub.connection(2);
    second.dispatch({ index: 2, skill: "shell", input: { argv: ["true"] } });
    expect(await second.heard("response", 2)).toMatchObject({ outcome: Outcome.SUCCEEDED });
    isBroken = false;
    watched.fault = () => undefined;
    await node.clock.advance(5_000);
    expect(await second.heard("response", 1)).toMatchObject({ outcome: Outcome.INDETERMINATE });
  });

  it("T8: a log whose files cannot be read is moved aside whole, and is one gap", async () => {
    await using node = await startWithOutput(true);
    const directory = join(node.directory, "spool", `${taskIdOf(1)}.1`);
    const { pieces, holes } = await restart(node, () => {
      // A file where the directory should be.
      rmSync(directory, { recursive: true });
      writeFileSync(directory, "");
    });
    expect(pieces).toEqual([]);
    expect(holes).toEqual([`1-${PIECES}`]);
    expect(existsSync(join(node.directory, "spool", "damaged", `${taskIdOf(1)}.1`))).toBe(true);
  });
});
