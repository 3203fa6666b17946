import { describe, expect, it } from "vitest";
import { markerTest, markerVariables, taskMarker } from "../../src/sandbox/marker.js";

const environ = (variables: Record<string, string>): Buffer =>
  Buffer.from(
    Object.entries(variables)
      .map(([name, value]) => `${name}=${value}\0`)
      .join(""),
  );

describe("the marker of a task's processes", () => {
  const marker = taskMarker("node_1", "task_1", 1);

  it("E3: a process of the attempt has it, wherever the variables stand", () => {
    expect(markerTest(marker)(environ({ A: "1", ...markerVariables(marker), Z: "1" }))).toBe(true);
    expect(markerTest({ nodeId: "node_1" })(environ(markerVariables(marker)))).toBe(true);
  });

  it.each([
    ["another node", taskMarker("node_2", "task_1", 1)],
    ["a node whose id begins the same", taskMarker("node_11", "task_1", 1)],
    ["another task", taskMarker("node_1", "task_2", 1)],
    ["an attempt whose number begins the same", taskMarker("node_1", "task_1", 10)],
  ])("E3: a process of %s does not", (_, other) => {
    expect(markerTest(marker)(environ(markerVariables(other)))).toBe(false);
  });

  it("E3: a variable whose name only ends the same is not it", () => {
    expect(markerTest({ nodeId: "node_1" })(Buffer.from("XCORTEX_NODE=node_1\0"))).toBe(false);
    expect(markerTest({ nodeId: "node_1" })(Buffer.from("XCORTEX_NODE=node_1\0CORTEX_NODE=node_1\0"))).toBe(true);
    expect(markerTest({ nodeId: "node_1" })(Buffer.alloc(0))).toBe(false);
  });
});
