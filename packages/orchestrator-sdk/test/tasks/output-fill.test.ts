import { describe, expect, it } from "vitest";
import { createVirtualClock } from "@cortex-mesh/testing";
import { createFill, type Fill } from "../../src/tasks/output-fill.js";
import { turns } from "../support/until.js";

const KIB = 1024;

/** Whether the next commit starts at once, and the way to see when it does. */
async function startOf(fill: Fill): Promise<{ readonly isStarted: () => boolean }> {
  let isStarted = false;
  void fill.wait().then(() => {
    isStarted = true;
  });
  await turns(1);
  return { isStarted: () => isStarted };
}

describe("the size of a commit", () => {
  it("E2: the first bytes of a log are committed at once, and so are small ones that follow", async () => {
    const fill = createFill(createVirtualClock());
    for (let i = 0; i < 5; i++) {
      fill.add(100);
      expect((await startOf(fill)).isStarted()).toBe(true);
      fill.took(100);
    }
  });

  it("T5: output that flows waits until a good size has come", async () => {
    const fill = createFill(createVirtualClock());
    fill.add(64 * KIB);
    fill.took(64 * KIB);
    fill.add(512 * KIB);
    const next = await startOf(fill);
    expect(next.isStarted()).toBe(false);
    fill.add(512 * KIB);
    await turns(1);
    expect(next.isStarted()).toBe(true);
  });

  it("E2: output that flowed waits 4 ms at most, and none at all after a pause", async () => {
    const clock = createVirtualClock();
    const fill = createFill(clock);
    fill.add(200 * KIB);
    fill.took(200 * KIB);
    fill.add(100 * KIB);
    const next = await startOf(fill);
    await clock.advance(3.9);
    expect(next.isStarted()).toBe(false);
    await clock.advance(0.1);
    expect(next.isStarted()).toBe(true);
    fill.took(100 * KIB);
    fill.paused();
    await clock.advance(9);
    fill.add(1);
    expect((await startOf(fill)).isStarted()).toBe(true);
  });

  it("E3: a log that ends does not wait", async () => {
    const fill = createFill(createVirtualClock());
    fill.add(64 * KIB);
    fill.took(64 * KIB);
    fill.add(1);
    const next = await startOf(fill);
    fill.end();
    await turns(1);
    expect(next.isStarted()).toBe(true);
  });
});
