import { describe, expect, it } from "vitest";
import { systemIds } from "@cortex-mesh/protocol";
import { inviteResource, toInviteResource } from "../../src/operations/resources/invite.js";
import { isJson, MAX_JSON_DEPTH } from "../../src/operations/resources/json.js";
import { nodeResource, toNodeResource } from "../../src/operations/resources/node.js";
import { sessionResource, toSessionResource } from "../../src/operations/resources/session.js";
import { taskResource, toTaskResource } from "../../src/operations/resources/task.js";
import type { InviteRecord, SessionRecord } from "../../src/store/records.js";
import { nodeRecord, requestRecord, taskRecord } from "../support/task-record.js";
import { alice } from "./open-hub-services.js";

const AT_MS = Date.UTC(2027, 0, 15, 8);
const AT = "2027-01-15T08:00:00.000Z";

describe("toTaskResource", () => {
  const output = {
    lastSeq: 3,
    stdoutBytes: 5,
    stderrBytes: 0,
    complete: false,
    attempt: 1,
    originSeq: 2,
    hasGap: false,
  };
  const show = (changes: Parameters<typeof taskRecord>[0]) => {
    const task = taskRecord({ createdAtMs: AT_MS, ...changes });
    const resource = toTaskResource({ task, request: requestRecord(), output: { taskId: task.taskId, ...output } });
    expect(taskResource.parse(resource)).toEqual(resource);
    return resource;
  };

  it("H7: a waiting task has every field, and null for what has not come", () => {
    expect(show({})).toEqual({
      taskId: "task_01J00000000000000000000001",
      revision: 1,
      sessionId: "ses_01J00000000000000000000001",
      ownerId: "alice",
      nodeId: null,
      skill: "shell",
      input: { command: "true" },
      state: "queued",
      disconnected: false,
      cancelling: false,
      stalled: false,
      effect: "once",
      attempt: 0,
      createdAt: AT,
      startedAt: null,
      finishedAt: null,
      result: null,
      error: null,
      cause: null,
      output: { lastSeq: 3, stdoutBytes: 5, stderrBytes: 0, complete: false },
      isolation: null,
    });
  });

  it("H7: an ended task has its result, cause, times and isolation report", () => {
    const ended = show({
      state: "failed",
      attempt: 2,
      startedAtMs: AT_MS,
      finishedAtMs: AT_MS + 1500,
      exitCode: 7,
      cause: "exit",
      isolation: { level: "workspace", driver: "bwrap" },
    });
    expect(ended).toMatchObject({
      result: { exitCode: 7, signal: null, value: null },
      cause: "exit",
      startedAt: AT,
      finishedAt: "2027-01-15T08:00:01.500Z",
      isolation: { level: "workspace", driver: "bwrap" },
    });
  });

  it("H7: a running task has no result yet, a rejected one says why", () => {
    expect(show({ state: "running", startedAtMs: AT_MS }).result).toBeNull();
    const error = { code: "COMMAND_NOT_FOUND", message: "no such program" };
    expect(show({ state: "rejected", finishedAtMs: AT_MS, error })).toMatchObject({
      error,
      result: { exitCode: null },
    });
  });
});

describe("toNodeResource", () => {
  it("T6: a node that is away has no figures, and its connection is the last one", () => {
    const record = nodeRecord({ createdAtMs: AT_MS, capabilities: undefined, epoch: 4, reconnects: 2 });
    const resource = toNodeResource({ record, status: "offline", usage: undefined, connection: undefined });
    expect(nodeResource.parse(resource)).toEqual(resource);
    expect(resource).toMatchObject({
      status: "offline",
      capabilities: {},
      usage: null,
      lastSeenAt: null,
      version: null,
      connection: { epoch: 4, connectedAt: null, reconnects: 2, roundTripMs: null },
    });
    expect(JSON.stringify(resource)).not.toContain(record.publicKey);
  });
});

describe("toInviteResource", () => {
  const invite: InviteRecord = {
    inviteId: systemIds.next("inv"),
    revision: 1,
    ownerId: alice.userId,
    name: undefined,
    labels: {},
    secretHmac: "5ec5e7",
    createdAtMs: AT_MS,
    expiresAtMs: AT_MS + 1000,
    revokedAtMs: undefined,
    usedAtMs: undefined,
    usedByKey: "0b5c",
    nodeId: undefined,
    failedTries: 0,
  };

  it("I1: an invite says how it stands, and nothing of its secret", () => {
    const resource = toInviteResource(invite, AT_MS);
    expect(inviteResource.parse(resource)).toEqual(resource);
    expect(resource).toMatchObject({ status: "open", name: null, expiresAt: "2027-01-15T08:00:01.000Z" });
    expect(JSON.stringify(resource)).not.toContain("5ec5e7");
    expect(toInviteResource(invite, AT_MS + 1000).status).toBe("expired");
    expect(toInviteResource({ ...invite, revokedAtMs: AT_MS }, AT_MS).status).toBe("revoked");
    expect(toInviteResource({ ...invite, usedAtMs: AT_MS, revokedAtMs: AT_MS }, AT_MS + 2000).status).toBe("used");
  });
});

describe("toSessionResource", () => {
  it("H6: a session shows its nodes with path and state; a node that is not known counts as offline", () => {
    const [here, gone] = [systemIds.next("node"), systemIds.next("node")];
    const session: SessionRecord = {
      sessionId: systemIds.next("ses"),
      revision: 3,
      ownerId: alice.userId,
      name: "demo",
      status: "active",
      nodes: [here, gone].map((nodeId) => ({ nodeId, path: "p", attachedAtMs: AT_MS })),
      parentId: undefined,
      createdAtMs: AT_MS,
    };
    const resource = toSessionResource(session, new Map([[here, "online"]]));
    expect(sessionResource.parse(resource)).toEqual(resource);
    expect(resource).toMatchObject({ revision: 3, parentId: null, createdAt: AT });
    expect(resource.nodes.map(({ state, path }) => [state, path])).toEqual([
      ["online", "p"],
      ["offline", "p"],
    ]);
  });
});

describe("isJson", () => {
  it("H7: JSON is taken up to its depth, anything else is not", () => {
    const nest = (depth: number) => JSON.parse(`${"[".repeat(depth)}${"]".repeat(depth)}`) as unknown;
    expect(isJson(nest(MAX_JSON_DEPTH))).toBe(true);
    expect(isJson(nest(MAX_JSON_DEPTH + 2))).toBe(false);
    expect(isJson(nest(200_000))).toBe(false);
    for (const value of [null, true, 0, -1.5, "", [], {}, { a: [{ b: null }] }]) expect(isJson(value)).toBe(true);
    for (const value of [
      undefined,
      Number.NaN,
      1n,
      new Date(),
      new Map(),
      () => 1,
      { a: undefined },
      "\ud800",
      { "\udc00": 1 },
    ]) {
      expect(isJson(value)).toBe(false);
    }
  });
});
