import { describe, expect, it } from "vitest";
import { Outcome } from "@cortex-mesh/protocol/gen";
import { taskIdOf } from "../support/scripted-hub.js";
import { startNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";
import { systemError, watchFiles } from "../support/watch-files.js";

/** A task with one piece on disk and one in memory, whose disk then broke while the hub was away. */
async function startOnBrokenDisk() {
  const watched = watchFiles();
  const node = await startNode({}, { files: watched.files });
  const first = await node.hub.connection(1);
  first.dispatch({ index: 1 });
  await first.heard("started", 1);
  first.cut();
  await settle();
  const run = node.probe.runs.get(taskIdOf(1))!;
  await run.request.write("stdout", Buffer.from("one"));
  const { log } = node.spool.list()[0]!;
  await log.flush();
  watched.fault = (operation) => {
    if (operation === "write" || operation === "sync") throw systemError("EIO");
  };
  await run.request.write("stdout", Buffer.from("two"));
  // The disk that fails is what is tested.
  await log.flush().catch(() => {});
  await run.request.write("stdout", Buffer.from("three"));
  run.exit(0);
  await waitUntil(() => node.spool.list()[0]?.lastSeq !== undefined, "the end");
  await settle();
  return { node, watched };
}

describe("a task whose log fails", () => {
  it("T8: all that was taken is sent, and what was not is a gap: the hub never calls it complete", async () => {
    const { node } = await startOnBrokenDisk();
    await using _ = node;
    await node.clock.advance(1_000);
    const second = await node.hub.connection(2);
    const response = await second.heard("response", 1);
    expect(response).toMatchObject({ outcome: Outcome.FAILED, cause: "disk", lastLogSeq: 3n });
    await waitUntil(() => node.hub.output(1).seqs.length === 3, "the gap");
    expect(node.hub.output(1)).toMatchObject({ text: "onetwo", gapBytes: "three".length });
    await waitUntil(() => node.spool.list().length === 0, "the log to be deleted");
  });

  it("T8: what was in memory alone when the process ended is told as a hole", async () => {
    const { node, watched } = await startOnBrokenDisk();
    await using _ = node;
    await node.crash(() => {
      watched.fault = () => undefined;
    });
    const second = await node.hub.connection(2);
    expect(await second.heard("response", 1)).toMatchObject({ cause: "disk", lastLogSeq: 3n });
    await waitUntil(() => node.hub.output(1).holes.length > 0, "the hole");
    expect(node.hub.output(1)).toMatchObject({ text: "one", holes: ["2-3"] });
  });
});
