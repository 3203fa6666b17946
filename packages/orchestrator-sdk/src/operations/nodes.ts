/** Nodes: what is there, how it stands, and ending it. */

import { z } from "zod";
import { parseId } from "@cortex-mesh/protocol/portable";
import { defineOperation } from "./operation.js";
import { nodeResource, toNodeResource } from "./resources/node.js";
import { pageInput, pageOf, readPage } from "./resources/page.js";

const oneNode = z.strictObject({ nodeId: z.string() });

/** Lists the caller's nodes, oldest first; revoked ones too. */
export const listNodes = defineOperation({
  name: "listNodes",
  method: "GET",
  path: "/nodes",
  summary: "List nodes",
  input: z.strictObject(pageInput),
  output: pageOf(nodeResource),
  kind: "json",
  rule: "user",
  async run({ caller, services }, input) {
    const page = await readPage(
      input,
      (request) => services.nodes.list(caller, request),
      ({ record }) => record.nodeId,
    );
    return { ...page, items: page.items.map(toNodeResource) };
  },
});

/** Reads a node. */
export const getNode = defineOperation({
  name: "getNode",
  method: "GET",
  path: "/nodes/{nodeId}",
  aliases: ["/nodes/{nodeId}/status"],
  summary: "Read a node with its connection and newest figures",
  input: oneNode,
  output: nodeResource,
  kind: "json",
  rule: "owner",
  async run({ caller, services }, { nodeId }) {
    return toNodeResource(await services.nodes.get(caller, parseId("node", nodeId)));
  },
});

/** Lets a node finish what it runs and take nothing new. */
export const drainNode = defineOperation({
  name: "drainNode",
  method: "POST",
  path: "/nodes/{nodeId}/drain",
  summary: "Let a node finish its tasks and stop",
  input: oneNode,
  output: nodeResource,
  kind: "json",
  rule: "owner",
  async run({ caller, services }, { nodeId }) {
    return toNodeResource(await services.nodes.drain(caller, parseId("node", nodeId)));
  },
});

/** Revokes a node for good; idempotent. */
export const revokeNode = defineOperation({
  name: "revokeNode",
  method: "DELETE",
  path: "/nodes/{nodeId}",
  summary: "Revoke a node and end its streams",
  input: oneNode,
  output: nodeResource,
  kind: "json",
  rule: "owner",
  async run({ caller, services }, { nodeId }) {
    return toNodeResource(await services.nodes.revoke(caller, parseId("node", nodeId)));
  },
});
