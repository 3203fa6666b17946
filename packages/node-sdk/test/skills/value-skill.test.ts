import { describe, expect, it } from "vitest";
import { z } from "zod";
import { CortexError, defineSkill } from "@cortex-mesh/protocol";
import { Outcome } from "@cortex-mesh/protocol/gen";
import { createVirtualClock } from "@cortex-mesh/testing";
import { shell } from "../../src/skills/shell.js";
import { createSkillTable } from "../../src/skills/skill-table.js";
import { startNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";

const anything = defineSkill("anything", { input: z.object({}), output: z.unknown() });

describe("a skill that is a function", () => {
  it("E1: what it writes without waiting arrives in order, before its end", async () => {
    const skill = anything.implement(async ({ output }) => {
      for (let line = 0; line < 100; line += 1) void output.stdout(`${line};`);
      return 1;
    });
    await using node = await startNode({ skills: [skill] });
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, skill: "anything" });
    await hub.heard("response", 1);
    await waitUntil(() => node.hub.output(1).seqs.length === 100, "all of it");
    expect(node.hub.output(1).text).toBe(Array.from({ length: 100 }, (_, line) => `${line};`).join(""));
  });

  it("E1: what it throws is the task's error", async () => {
    const skill = anything.implement(async ({ progress }) => {
      progress({ done: 1 });
      await new Promise<void>((resolve) => void setImmediate(resolve));
      throw new CortexError("NOT_FOUND", "there is nothing here");
    });
    await using node = await startNode({ skills: [skill] });
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, skill: "anything" });
    expect(await hub.heard("response", 1)).toMatchObject({
      outcome: Outcome.FAILED,
      errorCode: "NOT_FOUND",
      errorMessage: "there is nothing here",
      lastLogSeq: 1n,
    });
  });

  it("E1: progress that is no JSON is the skill's own error, and what it writes still arrives", async () => {
    const skill = anything.implement(async ({ output, progress }) => {
      expect(() => progress(1n)).toThrow(TypeError);
      progress({ done: 1 });
      await output.stdout("after");
      return 1;
    });
    await using node = await startNode({ skills: [skill] });
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, skill: "anything" });
    expect(await hub.heard("response", 1)).toMatchObject({ outcome: Outcome.SUCCEEDED, lastLogSeq: 2n });
    await waitUntil(() => node.hub.output(1).text === "after", "the output");
  });

  it("X4: progress counts towards the limit of the output", async () => {
    const skill = anything.implement(async ({ output, progress }) => {
      for (let step = 0; step < 100; step += 1) progress({ step });
      await output.stdout("");
      return 1;
    });
    await using node = await startNode({ skills: [skill] });
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, skill: "anything", outputBytes: 30 });
    expect((await hub.heard("response", 1)).lastLogSeq).toBeLessThan(4n);
  });

  it.each([
    ["a result that is no JSON", async () => 1n],
    ["a thrown value that cannot be a text", () => Promise.reject(Object.create(null))],
  ])("E1: %s fails the task and gives its slot back", async (_name, run) => {
    await using node = await startNode({ skills: [anything.implement(run)], maxTasks: 1 });
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, skill: "anything" });
    expect(await hub.heard("response", 1)).toMatchObject({ outcome: Outcome.FAILED, errorCode: "INTERNAL" });
    hub.dispatch({ index: 2, skill: "anything" });
    await hub.heard("response", 2);
  });

  it("E3: one that ignores its signal is ended without it after the grace", async () => {
    const skill = anything.implement(() => new Promise<never>(() => {}));
    await using node = await startNode({ skills: [skill] });
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, skill: "anything" });
    await hub.heard("started", 1);
    hub.cancel(1);
    await settle();
    await node.clock.advance(4_999);
    expect(hub.said("response", 1)).toEqual([]);
    await node.clock.advance(1);
    expect(await hub.heard("response", 1)).toMatchObject({ outcome: Outcome.CANCELLED });
  });

  it("E1: a result that is too large fails the task and does not end the connection", async () => {
    const skill = anything.implement(async () => "x".repeat(300_000));
    await using node = await startNode({ skills: [skill] });
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, skill: "anything" });
    expect(await hub.heard("response", 1)).toMatchObject({ outcome: Outcome.FAILED, errorCode: "TOO_LARGE" });
  });

  it("E1: two skills of one name are refused", () => {
    expect(() => createSkillTable([shell(), shell()], createVirtualClock())).toThrow(RangeError);
  });
});
