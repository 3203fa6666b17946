/** The mesh for users' tests: what they can do to it, and that production's promises hold in it. */
import { describe, expect, it } from "vitest";
import { echoSkill } from "@cortex-mesh/node-sdk";
import { createTestMesh, type TestMesh } from "../src/test-mesh.js";

/** A skill of the user's own, on a contract that is there. */
const shout = echoSkill.implement(async ({ input, output }) => {
  await output.stdout(`${input.text}!`);
  return { text: input.text.toUpperCase() };
});

async function start(mesh: TestMesh, request: { readonly effect?: "once" | "idempotent" } = {}) {
  const alice = mesh.hub.as("alice");
  const nodes = [{ nodeId: mesh.node(0).nodeId, path: "work" }];
  const { sessionId } = await alice.createSession({ nodes });
  return alice.dispatch({ sessionId, skill: "echo", input: { text: "hello" }, ...request });
}

async function end(mesh: TestMesh, taskId: string) {
  const read = () => mesh.hub.as("alice").getTask({ taskId });
  await mesh.until("the end of the task", async () => mesh.hub.isUp && (await read()).finishedAt !== null);
  return read();
}

describe("a mesh for tests", () => {
  it("P5: a skill of the user's own runs in it, under seeded faults, in virtual time", async () => {
    await using mesh = await createTestMesh({
      seed: 5,
      skills: [shout],
      faults: { drop: 0.05, duplicate: 0.1, delay: 0.1 },
    });
    for (let count = 0; count < 10; count += 1) {
      const { taskId } = await start(mesh);
      expect(await end(mesh, taskId)).toMatchObject({
        state: "succeeded",
        result: { value: { text: "HELLO" } },
        output: { stdoutBytes: 6, complete: true },
      });
    }
  });

  it("P5: the same seed gives the same ids and the same log", async () => {
    const run = async (seed: number) => {
      await using mesh = await createTestMesh({ seed, nodes: 2, skills: [shout], faults: { drop: 0.05 } });
      const { taskId } = await start(mesh);
      await end(mesh, taskId);
      await mesh.run(60_000);
      return [taskId, mesh.clock.monotonicMs(), ...mesh.log];
    };
    expect(await run(3)).toEqual(await run(3));
    expect(await run(4)).not.toEqual(await run(3));
  });

  it("T8: a task that was accepted before the hub lost its power is there afterwards and runs", async () => {
    await using mesh = await createTestMesh({ skills: [shout] });
    mesh.partition(0);
    const { taskId } = await start(mesh);
    mesh.crashHub("power");
    expect(mesh.hub.isUp).toBe(false);
    expect(() => mesh.hub.as("alice")).toThrowError(expect.objectContaining({ code: "UNAVAILABLE" }));
    await mesh.restartHub();
    mesh.heal();
    expect((await end(mesh, taskId)).state).toBe("succeeded");
  });

  it("P5: a node that is crashed, drained or cut off comes back when it is told to", async () => {
    await using mesh = await createTestMesh({ skills: [shout] });
    const isBack = (): Promise<void> => mesh.until("the node", () => mesh.node(0).isOnline);
    mesh.crashNode(0, "power");
    expect(mesh.node(0).isUp).toBe(false);
    await mesh.restartNode(0);
    await isBack();
    await mesh.drainNode(0);
    expect(mesh.node(0).isUp).toBe(false);
    await mesh.restartNode(0);
    await isBack();
    mesh.cut(0, ["second"]);
    await mesh.until("the node to notice", () => !mesh.node(0).isOnline);
    mesh.jumpClock(0, 30_000);
    await isBack();
    expect((await end(mesh, (await start(mesh)).taskId)).state).toBe("succeeded");
  });

  it("P5: waiting for what does not come ends with the seed and the last that was said", async () => {
    await using mesh = await createTestMesh({ seed: 9 });
    await expect(mesh.until("a miracle", () => false, 1_000)).rejects.toThrowError(
      /a miracle did not come \(seed 9\); .*online/,
    );
  });
});

describe("the end of a stream of output", () => {
  it.each(["up", "down"] as const)(
    "T7: a last record, or the answer to it, that is lost on its way %s costs a new stream and nothing else",
    async (direction) => {
      let streams = 0;
      let isMet = false;
      await using mesh = await createTestMesh({
        skills: [shout],
        tamper: {
          [direction]: (kind: string) => {
            if (kind === "logs") streams += 1;
            return (frame: Uint8Array) => {
              if (kind !== "logs" || isMet) return [frame];
              isMet = true;
              return [];
            };
          },
        },
      });
      const { taskId } = await start(mesh);
      expect(await end(mesh, taskId)).toMatchObject({ state: "succeeded", output: { stdoutBytes: 6, complete: true } });
      await mesh.run(60_000);
      expect(streams).toBe(2);
      expect(mesh.log.filter((line) => line === "node-0: online")).toHaveLength(1);
    },
  );
});
