import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { HeartbeatSchema, LeaseAnswerSchema } from "@cortex-mesh/protocol/gen";
import { createMemoryLinkPair } from "@cortex-mesh/testing";
import { holdBack } from "../support/hold-back.js";
import { openMesh } from "../support/open-mesh.js";
import { turns, until } from "../support/until.js";

describe("a stream of heartbeats", () => {
  it("T5: is not read on while the node does not take its answers", async () => {
    const mesh = await openMesh();
    const node = await mesh.dial(await mesh.addNode());
    const [mine, theirs] = createMemoryLinkPair();
    const held = holdBack(theirs);
    mesh.parts.gateway.openHealth(node, held.link);
    const answered: bigint[] = [];
    mine.onFrames((frames) => void answered.push(...frames.map((bytes) => fromBinary(LeaseAnswerSchema, bytes).seq)));
    const beat = (seq: bigint): void => {
      const heartbeat = create(HeartbeatSchema, { seq, epoch: BigInt(node.epoch) });
      mine.send(toBinary(HeartbeatSchema, heartbeat));
    };
    beat(1n);
    await until(() => answered.length === 1);
    beat(2n);
    await turns();
    expect(answered).toEqual([1n]);
    held.release();
    await until(() => answered.length === 2);
  });
});
