import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { systemIds } from "@cortex-mesh/protocol";
import { HubTaskFrameSchema } from "@cortex-mesh/protocol/gen";
import { createMemoryLinkPair } from "@cortex-mesh/testing";
import { createHubConnection } from "../../src/link/hub-connection.js";
import { createOutgoing } from "../../src/link/outgoing.js";
import { createTaskWriter } from "../../src/tasks/commit.js";
import { createLocalWake } from "../../src/wake/local.js";
import { openMesh } from "../support/open-mesh.js";
import { attemptRecord, NODE_ID } from "../support/task-record.js";
import { turns } from "../support/until.js";

describe("what is noted for a node", () => {
  it("E3: is sent whenever it comes, also in the moment in which the sender runs out of work", async () => {
    const { store, clock, authority } = await openMesh();
    const identity = {
      nodeId: NODE_ID,
      ownerId: "alice" as never,
      epoch: 1,
      bootId: "b",
      sessionNonce: new Uint8Array(16),
      connectedAtMs: 0,
      maxTasks: 1,
    };
    const connection = createHubConnection(identity);
    const [hubEnd, nodeEnd] = createMemoryLinkPair();
    let sentCount = 0;
    nodeEnd.onFrames((frames) => {
      for (const bytes of frames) if (fromBinary(HubTaskFrameSchema, bytes).body.case === "grant") sentCount += 1;
    });
    connection.attachTasks(hubEnd, () => undefined);
    const outgoing = createOutgoing(connection, {
      store,
      clock,
      writer: createTaskWriter({ store, clock, wake: createLocalWake() }),
      hubId: authority.hubId,
      grantKey: authority.grantKey,
      policySha256: new Uint8Array(32),
      randomBytes: (size) => new Uint8Array(size),
      onError: (error) => {
        throw error;
      },
    });
    const cancelling = () => attemptRecord("running", { taskId: systemIds.next("task"), cancelling: true });
    for (let moment = 0; moment < 30; moment++) {
      outgoing.note(cancelling());
      for (let i = 0; i < moment; i++) await Promise.resolve();
      outgoing.note(cancelling());
      await turns(3);
      expect({ moment, sentCount }).toEqual({ moment, sentCount: 2 * (moment + 1) });
    }
  });
});
