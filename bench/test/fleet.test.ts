import { describe, expect, it } from "vitest";
import { descriptorObstacle } from "../src/fleet.js";
import { idleFleetSize } from "../src/rows/idle-fleet.js";
import { returnSize } from "../src/rows/return-of-nodes.js";

describe("a fleet", () => {
  it("more connections than descriptors are allowed is a reason not to run, with the figure", () => {
    expect(descriptorObstacle(1)).toBeUndefined();
    expect(descriptorObstacle(10 ** 12)).toMatch(/1000000000200 descriptors are needed/);
  });

  it("a whole run has 2,000 idle nodes and 500 that come back, a quick one far fewer", () => {
    const whole = { isQuick: false, diskDirectory: "" };
    const quick = { isQuick: true, diskDirectory: "" };
    expect(idleFleetSize(whole).nodes).toBe(2_000);
    expect(returnSize(whole).nodes).toBe(500);
    expect(idleFleetSize(quick).nodes).toBeLessThanOrEqual(200);
    expect(returnSize(quick).nodes).toBeLessThanOrEqual(50);
  });
});
