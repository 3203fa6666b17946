import * as fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { NodeId, TaskId } from "@cortex-mesh/protocol";
import { createVirtualClock, type VirtualClock } from "@cortex-mesh/testing";
import { watchFreezes } from "../../src/hub-events.js";
import { createPrometheusMetrics } from "../../src/metrics/prometheus.js";
import { DEFAULT_RECONNECT_WINDOW_MS } from "../../src/tasks/deadlines.js";
import {
  createDisconnectBreaker,
  DEFAULT_BREAKER_LIMITS,
  type DisconnectBreaker,
  isMassDisconnect,
} from "../../src/tasks/disconnect-breaker.js";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import type { ScriptedNode } from "../support/scripted-node.js";
import { until } from "../support/until.js";

const { windowMs, maxFreezeMs, restartFreezeMs } = DEFAULT_BREAKER_LIMITS;
const nodes = Array.from({ length: 20 }, (_, index) => `node_${index}` as NodeId);

describe("whether so many vanish by coincidence", () => {
  it.each([
    [2, 0, false],
    [3, 0, true],
    [3, 2, true],
    [3, 3, false],
    [11, 9, true],
    [10, 9, false],
    [10, 10, false],
  ])("H4: %i of those that vanished beside %i that did not: %s", (vanishedCount, connectedCount, isMass) => {
    expect(isMassDisconnect(DEFAULT_BREAKER_LIMITS, { vanishedCount, connectedCount })).toBe(isMass);
  });
});

describe("a breaker", () => {
  let clock: VirtualClock;
  let breaker: DisconnectBreaker;
  let changes: (string | undefined)[];
  beforeEach(() => {
    clock = createVirtualClock();
    breaker = createDisconnectBreaker({ clock });
    changes = [];
    breaker.onChange((freeze) => void changes.push(freeze?.reason));
  });
  const come = (from: number, to: number): void => nodes.slice(from, to).forEach((nodeId) => breaker.came(nodeId));
  const vanish = (from: number, to: number): void =>
    nodes.slice(from, to).forEach((nodeId) => breaker.vanished(nodeId));

  it("H4: freezes when most nodes vanish within one window, and not when they do so one by one", async () => {
    come(0, 10);
    for (let index = 0; index < 10; index++) {
      vanish(index, index + 1);
      await clock.advance(windowMs / 2);
      if (index < 5) expect(breaker.freeze).toBeUndefined();
    }
    come(0, 10);
    expect(breaker.freeze).toBeUndefined();
    vanish(0, 5);
    expect(breaker.freeze).toBeUndefined();
    vanish(5, 6);
    expect(breaker.freeze).toEqual({ reason: "vanished", missingCount: 6, affectedCount: 6, leftMs: maxFreezeMs });
  });

  it("H4: forgets who vanished longer ago than one window", async () => {
    come(0, 6);
    vanish(0, 3);
    await clock.advance(windowMs + 1);
    vanish(3, 4);
    expect(breaker.freeze).toBeUndefined();
    vanish(4, 6);
    expect(breaker.freeze).toMatchObject({ affectedCount: 3 });
  });

  it("H4: is over when half of the missing nodes are back, and tells so once", () => {
    come(0, 10);
    vanish(0, 10);
    come(0, 4);
    expect(breaker.freeze).toMatchObject({ missingCount: 6, affectedCount: 10 });
    come(4, 5);
    expect(breaker.freeze).toBeUndefined();
    expect(changes).toEqual(["vanished", undefined]);
  });

  it("H4: is over after a bounded time, however few are back, and a new fault is seen anew", async () => {
    come(0, 10);
    vanish(0, 10);
    await clock.advance(maxFreezeMs - 1);
    expect(breaker.freeze?.leftMs).toBe(1);
    await clock.advance(1);
    expect(breaker.freeze).toBeUndefined();
    come(0, 4);
    vanish(0, 4);
    expect(breaker.freeze).toMatchObject({ affectedCount: 4 });
    breaker.close();
    expect(clock.pendingCount).toBe(0);
  });

  it("H4: counts no node that left in order", () => {
    come(0, 10);
    nodes.slice(0, 8).forEach((nodeId) => {
      breaker.left(nodeId);
      breaker.vanished(nodeId);
    });
    vanish(8, 10);
    expect(breaker.freeze).toBeUndefined();
    come(0, 3);
    vanish(0, 3);
    expect(breaker.freeze).toMatchObject({ missingCount: 5 });
    nodes.slice(0, 10).forEach((nodeId) => breaker.left(nodeId));
    expect(breaker.freeze).toBeUndefined();
  });

  it("H4: freezes at the start of the hub for the nodes that held attempts, also for one", async () => {
    breaker.restarted([]);
    expect(breaker.freeze).toBeUndefined();
    breaker.restarted(nodes.slice(0, 1));
    expect(breaker.freeze).toMatchObject({ reason: "restarted", missingCount: 1, leftMs: restartFreezeMs });
    await clock.advance(restartFreezeMs);
    expect(breaker.freeze).toBeUndefined();
  });

  it("H4: sees most nodes vanish also while it waits for those of before its start, and waits for all of them", async () => {
    breaker.restarted(nodes.slice(0, 12));
    come(0, 5);
    await clock.advance(restartFreezeMs - 1);
    vanish(0, 2);
    expect(breaker.freeze).toMatchObject({ reason: "restarted" });
    vanish(2, 5);
    expect(breaker.freeze).toEqual({ reason: "vanished", missingCount: 12, affectedCount: 12, leftMs: maxFreezeMs });
    await clock.advance(maxFreezeMs - 1);
    expect(breaker.freeze).toMatchObject({ reason: "vanished", leftMs: 1 });
    await clock.advance(1);
    expect(breaker.freeze).toBeUndefined();
    expect(clock.pendingCount).toBe(0);
    expect(changes).toEqual(["restarted", "vanished", undefined]);
  });

  it("H4: remembers who vanished just before the wait for the nodes of before its start was over", async () => {
    breaker.restarted(nodes.slice(10, 12));
    come(0, 5);
    await clock.advance(restartFreezeMs - 1);
    vanish(0, 2);
    await clock.advance(1);
    expect(breaker.freeze).toBeUndefined();
    vanish(2, 3);
    expect(breaker.freeze).toMatchObject({ reason: "vanished", affectedCount: 3 });
  });

  it("H4: takes nothing from the nodes of a hub that stops", () => {
    come(0, 10);
    breaker.close();
    vanish(0, 10);
    expect(changes).toEqual([]);
    expect(clock.pendingCount).toBe(0);
  });
});

type Happening =
  | { readonly kind: "came" | "vanished" | "left"; readonly nodeId: NodeId }
  | { readonly kind: "passes"; readonly ms: number };

describe("any history of nodes that come and go", () => {
  const few = nodes.slice(0, 6);
  const happening: fc.Arbitrary<Happening> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("came" as const), nodeId: fc.constantFrom(...few) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("vanished" as const), nodeId: fc.constantFrom(...few) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("left" as const), nodeId: fc.constantFrom(...few) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("passes" as const),
        ms: fc.constantFrom(1, windowMs / 2, windowMs + 1, maxFreezeMs),
      }),
    },
  );

  it("H4: freezes exactly when most vanished at once, and no longer than half of them are away", async () => {
    const property = fc.asyncProperty(fc.array(happening, { maxLength: 80 }), async (happenings) => {
      const clock = createVirtualClock({ turns: 0 });
      const breaker = createDisconnectBreaker({ clock });
      const there = new Set<NodeId>();
      let recent: { readonly nodeId: NodeId; readonly atMs: number }[] = [];
      let affected: NodeId[] = [];
      let away: NodeId[] = [];
      let sinceMs: number | undefined;
      const thaw = (): void => {
        sinceMs = undefined;
        recent = [];
      };
      for (const item of happenings) {
        if (item.kind === "passes") {
          await clock.advance(item.ms);
          if (sinceMs !== undefined && clock.monotonicMs() - sinceMs >= maxFreezeMs) thaw();
        } else {
          const { kind, nodeId } = item;
          const wasThere = there.has(nodeId);
          breaker[kind](nodeId);
          if (kind === "came") there.add(nodeId);
          else there.delete(nodeId);
          if (kind === "vanished" && wasThere) {
            recent = [...recent, { nodeId, atMs: clock.monotonicMs() }];
            if (sinceMs !== undefined) {
              affected = [...new Set([...affected, nodeId])];
              away = [...new Set([...away, nodeId])];
            }
          } else if (kind !== "vanished") {
            recent = recent.filter((entry) => entry.nodeId !== nodeId);
            const wasAway = away.includes(nodeId) || (kind === "left" && affected.includes(nodeId));
            away = away.filter((id) => id !== nodeId);
            if (kind === "left") affected = affected.filter((id) => id !== nodeId);
            if (sinceMs !== undefined && wasAway && away.length * 2 <= affected.length) thaw();
          }
          const atOnce = recent
            .filter(({ atMs }) => clock.monotonicMs() - atMs <= windowMs)
            .map((entry) => entry.nodeId);
          const isVanishing = kind === "vanished" && wasThere;
          if (
            sinceMs === undefined &&
            isVanishing &&
            atOnce.length >= 3 &&
            atOnce.length >= 0.55 * (atOnce.length + there.size)
          ) {
            sinceMs = clock.monotonicMs();
            affected = [...atOnce];
            away = [...atOnce];
          }
        }
        expect(breaker.freeze !== undefined).toBe(sinceMs !== undefined);
      }
      breaker.close();
    });
    await fc.assert(property, { numRuns: 500 });
  });
});

describe("what a hub tells of a freeze", () => {
  it("L4: its begin and its end, with the reason, and a figure that is 1 meanwhile", async () => {
    const clock = createVirtualClock();
    const breaker = createDisconnectBreaker({ clock });
    const metrics = createPrometheusMetrics();
    const lines: unknown[] = [];
    const line = (level: string) => (facts: object) =>
      void lines.push([level, "reason" in facts ? facts.reason : undefined]);
    const logger = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
    watchFreezes(breaker, { logger, metrics });
    const figures = async () =>
      (await metrics.read()).text
        .split("\n")
        .filter((text) => text.startsWith("cortex_attempts_frozen{"))
        .map((text) => text.replace(/^.*reason="(\w+)".* (\d)$/, "$1 $2"));
    expect(await figures()).toEqual(["vanished 0", "restarted 0"]);
    breaker.restarted(nodes.slice(0, 1));
    expect(await figures()).toEqual(["vanished 0", "restarted 1"]);
    await clock.advance(restartFreezeMs);
    for (const nodeId of nodes.slice(0, 4)) breaker.came(nodeId);
    for (const nodeId of nodes.slice(0, 4)) breaker.vanished(nodeId);
    expect(await figures()).toEqual(["vanished 1", "restarted 0"]);
    await clock.advance(maxFreezeMs);
    expect(await figures()).toEqual(["vanished 0", "restarted 0"]);
    expect(lines).toEqual([
      ["info", "restarted"],
      ["info", "restarted"],
      ["warn", "vanished"],
      ["info", "vanished"],
    ]);
  });

  it("H4: many nodes that vanish for good are waited for no longer than one node by itself", () => {
    expect(maxFreezeMs).toBe(DEFAULT_RECONNECT_WINDOW_MS);
  });
});

describe("tasks of a mesh whose nodes vanish", () => {
  const LOST_MS = 1_000;
  const WINDOW_MS = 2_000;
  const MAX_FREEZE_MS = 60_000;
  let mesh: Mesh;
  let tasks: { readonly taskId: TaskId; readonly node: ScriptedNode }[];

  const open = async (count: number, effect: "once" | "idempotent"): Promise<void> => {
    const deadlines = { lostAfterMs: LOST_MS, reconnectWindowMs: WINDOW_MS, maxFreezeMs: MAX_FREEZE_MS };
    mesh = await openMesh({ deadlines });
    tasks = [];
    for (let index = 0; index < count; index++) {
      const nodeId = await mesh.addNode({ name: `n${index}` });
      const node = await mesh.connect(nodeId);
      const taskId = await mesh.submit(await mesh.addSession([nodeId]), { effect });
      await mesh.reaches(taskId, "leased");
      node.started({ taskId, attempt: 1 });
      await mesh.reaches(taskId, "running");
      tasks.push({ taskId, node });
    }
  };
  const vanish = async (count: number): Promise<void> => {
    for (const { taskId, node } of tasks.slice(0, count)) {
      node.tasks.close();
      await until(async () => (await mesh.task(taskId)).disconnected);
    }
  };
  const states = () => Promise.all(tasks.map(async ({ taskId }) => (await mesh.task(taskId)).state));

  it.each(["once", "idempotent"] as const)(
    "H4: none of them is lost while most nodes are missing (%s)",
    async (effect) => {
      await open(4, effect);
      await vanish(4);
      await mesh.clock.advance(10 * WINDOW_MS);
      expect(await states()).toEqual(["running", "running", "running", "running"]);
      const { summary } = await mesh.services.tasks.explain(alice, tasks[0]!.taskId);
      expect(summary).toMatch(
        /^attempt 1 runs on node n0, which is not connected since .*; many nodes vanished at once; waiting for them \(4 of 4 nodes are missing\) for up to 40 s/,
      );
      expect(mesh.warnings).toMatchObject([{ reason: "vanished", missingCount: 3 }]);
    },
  );

  it("H4: half of the nodes are back: the tasks of the others are given up, after a little time to arrive", async () => {
    await open(4, "idempotent");
    await vanish(4);
    await mesh.clock.advance(10 * WINDOW_MS);
    for (const { taskId, node } of tasks.slice(0, 2)) {
      const again = await mesh.dial(node.nodeId);
      await again.hello([{ taskId, attempt: 1, state: 2 }]);
    }
    await mesh.clock.advance(LOST_MS - 1);
    expect(await states()).toEqual(["running", "running", "running", "running"]);
    await mesh.clock.advance(1);
    await until(async () => (await states()).join() === "running,running,queued,queued");
  });

  it("H4: a node that fell silent just before the others were back has the same time to arrive as they had", async () => {
    await open(4, "idempotent");
    await vanish(3);
    const late = tasks[3]!;
    late.node.tasks.close();
    await until(async () => (await mesh.task(late.taskId)).disconnected);
    await mesh.clock.advance(LOST_MS - 1);
    for (const { taskId, node } of tasks.slice(0, 2)) {
      const again = await mesh.dial(node.nodeId);
      await again.hello([{ taskId, attempt: 1, state: 2 }]);
    }
    // The deadlines had not fired yet.
    await mesh.clock.advance(LOST_MS - 1);
    expect(await states()).toEqual(["running", "running", "running", "running"]);
    await mesh.clock.advance(1);
    await until(async () => (await states()).join() === "running,running,queued,queued");
  });

  it("H4: a task that is to be cancelled right after the wait is over is not given up before its node could arrive", async () => {
    await open(4, "idempotent");
    await vanish(4);
    await mesh.clock.advance(10 * WINDOW_MS);
    for (const { taskId, node } of tasks.slice(0, 2)) {
      const again = await mesh.dial(node.nodeId);
      await again.hello([{ taskId, attempt: 1, state: 2 }]);
    }
    await mesh.services.tasks.cancel(alice, tasks[3]!.taskId);
    await mesh.clock.advance(LOST_MS - 1);
    expect((await states())[3]).toBe("running");
    await mesh.clock.advance(1);
    await until(async () => (await states())[3] === "indeterminate");
  });

  it("H4: after a bounded time they are given up, however few nodes are back", async () => {
    await open(3, "once");
    await vanish(3);
    await mesh.clock.advance(MAX_FREEZE_MS + LOST_MS);
    await until(async () => (await states()).every((state) => state === "indeterminate"));
  });

  it("H4: fewer nodes that vanish are lost in their time", async () => {
    await open(6, "idempotent");
    await vanish(3);
    await mesh.clock.advance(LOST_MS);
    await until(async () => (await states()).slice(0, 3).every((state) => state === "queued"));
  });

  it("H4: nodes that are drained or revoked do not hold the others' tasks up", async () => {
    await open(5, "idempotent");
    for (const { node } of tasks.slice(0, 3)) await mesh.services.nodes.revoke(alice, node.nodeId);
    tasks = tasks.slice(3);
    await vanish(1);
    await mesh.clock.advance(LOST_MS);
    await until(async () => (await states())[0] === "queued");
  });

  it("H4: a hub that starts again gives the nodes time to come back, also longer than they may be silent", async () => {
    await open(1, "idempotent");
    mesh = await mesh.restart();
    await mesh.clock.advance(restartFreezeMs - 1);
    expect(await states()).toEqual(["running"]);
    expect((await mesh.services.tasks.explain(alice, tasks[0]!.taskId)).summary).toContain("the hub has just started");
    await mesh.clock.advance(1 + LOST_MS);
    await until(async () => (await states())[0] === "queued");
  });
});
