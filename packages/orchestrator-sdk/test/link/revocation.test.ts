import { beforeEach, describe, expect, it } from "vitest";
import type { NodeId } from "@cortex-mesh/protocol";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import { turns, until } from "../support/until.js";

let mesh: Mesh;
let nodeId: NodeId;
beforeEach(async () => {
  mesh = await openMesh();
  nodeId = await mesh.addNode();
});

describe("a node that is revoked", () => {
  it("I3: hears why on each of its streams, at once", async () => {
    const node = await mesh.connect(nodeId);
    const logs = [node.openLogs(), node.openLogs()];
    const health = node.health.closed;
    await mesh.services.nodes.revoke(alice, nodeId);
    const ends = await Promise.all([node.tasks.closed, health, ...logs.map((link) => link.closed)]);
    expect(ends.map((end) => end?.code)).toEqual(["NODE_REVOKED", "NODE_REVOKED", "NODE_REVOKED", "NODE_REVOKED"]);
  });

  it("I3: does not become ready when it was revoked between its registration and its hello", async () => {
    const { get } = mesh.parts.connections;
    const node = await mesh.dial(nodeId);
    // As when the revocation looked for a connection just before this one was there.
    Object.assign(mesh.parts.connections, { get: () => undefined });
    await mesh.services.nodes.revoke(alice, nodeId);
    Object.assign(mesh.parts.connections, { get });
    node.say({ case: "hello", value: { held: [], bootId: "boot" } });
    expect(await until(() => node.tasksClosed)).toMatchObject({ code: "NODE_REVOKED" });
    await turns();
    expect(node.bodies("welcome")).toEqual([]);
    expect(mesh.parts.connections.ready(nodeId)).toBeUndefined();
  });
});

describe("an attempt that was declined", () => {
  it("E5: may be forgotten by the node once the hub has recorded it", async () => {
    const sessionId = await mesh.addSession([nodeId]);
    const node = await mesh.connect(nodeId);
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    mesh.faults.isStoreFull = true;
    node.declined({ taskId, attempt: 1 }, true);
    await until(() => node.tasksClosed);
    expect(node.bodies("forget")).toEqual([]);
    mesh.faults.isStoreFull = false;
    const again = await mesh.connect(nodeId);
    const attempt = await until(() => again.grants()[0]?.attempt);
    again.declined({ taskId, attempt }, true);
    await mesh.reaches(taskId, "rejected");
    await until(() => again.bodies("forget").length === 1);
    expect(again.bodies("forget")[0]).toMatchObject({ taskId, attempt });
  });
});
