import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { type OpenedTaskGrant, parsePolicy, type TaskId } from "@cortex-mesh/protocol";
import { GrantHeaderSchema, Outcome, TaskRequestSchema } from "@cortex-mesh/protocol/gen";
import { createVirtualClock } from "@cortex-mesh/testing";
import type { NodeReport } from "../../src/runner/report.js";
import { createRunner } from "../../src/runner/runner.js";
import { createSpool } from "../../src/runner/spool.js";
import { prepareTaskPlace } from "../../src/runner/workspace.js";
import { createSkillTable } from "../../src/skills/skill-table.js";
import { createMemoryState } from "../../src/state/memory-state.js";
import { createProbeSkill } from "../support/probe-skill.js";
import { waitUntil } from "../support/wait-until.js";

const taskId = "task_01HZZZZZZZZZZZZZZZZZZZZZZZ" as TaskId;
const grant: OpenedTaskGrant = {
  grantId: "00",
  header: create(GrantHeaderSchema),
  taskId,
  attempt: 1,
  task: create(TaskRequestSchema, { taskId, capabilityRequired: "probe" }),
  ownerId: "alice",
  policySha256: new Uint8Array(32),
};

function openRunner(maxTasks: number, policyTasks?: number) {
  const clock = createVirtualClock();
  const directory = join(tmpdir(), "cortex-runner-of-no-output");
  const said: NodeReport[] = [];
  const host = {
    state: createMemoryState(),
    spool: createSpool({ directory: join(directory, "spool"), clock }),
    skills: createSkillTable([createProbeSkill().skill], clock),
    drivers: new Map(),
    clock,
    report: (report: NodeReport) => void said.push(report),
    workspaceRoot: directory,
    preparePlace: prepareTaskPlace,
    defaultLevel: "none" as const,
    hostEnv: {},
    maxOutputBytes: 1,
    policy: () => (policyTasks === undefined ? undefined : parsePolicy({ maxTasks: policyTasks })),
    forget: async () => {},
  };
  return { said, runner: createRunner(host, maxTasks) };
}

describe("the runner", () => {
  it("E3: a cancel between the durable start and the run is not lost", async () => {
    const { said, runner } = openRunner(1);
    expect(runner.hold()).toBe("slot");
    runner.stop(grant);
    runner.start(grant, 0);
    const response = await waitUntil(() => said.find((report) => report.case === "response"), "the end");
    expect(response?.value).toMatchObject({ outcome: Outcome.CANCELLED });
  });

  it("X2: the policy may allow fewer tasks than the node, and never more", () => {
    const strict = openRunner(2, 1).runner;
    expect([strict.hold(), strict.hold()]).toEqual(["slot", "queue"]);
    const wide = openRunner(1, 5).runner;
    expect([wide.hold(), wide.hold()]).toEqual(["slot", "queue"]);
  });

  it("T7: what is on its way to the queue is not overtaken", () => {
    const { runner } = openRunner(1);
    expect([runner.hold(), runner.hold()]).toEqual(["slot", "queue"]);
    runner.release("slot");
    expect(runner.hold()).toBe("queue");
  });
});
