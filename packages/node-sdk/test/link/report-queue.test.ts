import { describe, expect, it } from "vitest";
import type { CortexError } from "@cortex-mesh/protocol";
import { createReportQueue, MAX_UNSENT_BYTES, MAX_WAITING_REPORTS } from "../../src/link/report-queue.js";
import { settle } from "../support/wait-until.js";

const FRAME_BYTES = 256 * 1024;

/** A link that takes bytes only when it is told to. */
function openQueue() {
  const sent: string[] = [];
  const failures: CortexError[] = [];
  let bufferedBytes = 0;
  let wake = (): void => {};
  let fault: Error | undefined;
  const link = {
    get bufferedBytes() {
      return bufferedBytes;
    },
    drained: () => new Promise<void>((resolve) => (wake = resolve)),
  };
  const queue = createReportQueue({
    link,
    send(report) {
      if (fault !== undefined) throw fault;
      sent.push((report.value as { reason: string }).reason);
      bufferedBytes += FRAME_BYTES;
    },
    onFailed: (error) => void failures.push(error),
  });
  return {
    queue,
    sent,
    failures,
    say: (name: number) => queue.push({ case: "goodbye", value: { reason: String(name) } }),
    takeAll() {
      bufferedBytes = 0;
      wake();
    },
    failWith(error: Error) {
      fault = error;
    },
  };
}

describe("what a node says on a connection", () => {
  it("T5: waits for the welcome, and then leaves in order at once", () => {
    const { queue, sent, say } = openQueue();
    say(1);
    say(2);
    expect(sent).toEqual([]);
    queue.open();
    say(3);
    expect(sent).toEqual(["1", "2", "3"]);
  });

  it("T5: is held back while the hub does not take it, so that the link is not given up for it", async () => {
    const { queue, sent, say, takeAll } = openQueue();
    queue.open();
    for (let name = 1; name <= 20; name += 1) say(name);
    const most = MAX_UNSENT_BYTES / FRAME_BYTES + 1;
    expect(sent).toHaveLength(most);
    takeAll();
    await settle();
    expect(sent).toHaveLength(2 * most);
    say(21);
    for (let turn = 0; turn < 3; turn += 1) {
      takeAll();
      await settle();
    }
    expect(sent).toEqual(Array.from({ length: 21 }, (_, at) => String(at + 1)));
  });

  it("T5: tells when there is room for more", async () => {
    const { queue, say, takeAll } = openQueue();
    queue.open();
    for (let name = 1; name <= 6; name += 1) say(name);
    let hasRoom = false;
    void queue.room().then(() => (hasRoom = true));
    await settle();
    expect(hasRoom).toBe(false);
    takeAll();
    await settle();
    expect(hasRoom).toBe(true);
  });

  it("T7: leaves at once as last words, also what waited for the link", () => {
    const { queue, sent, say } = openQueue();
    queue.open();
    for (let name = 1; name <= 9; name += 1) say(name);
    queue.flush();
    expect(sent).toHaveLength(9);
  });

  it("T5: is bounded; what could not be sent ends the connection with its reason", () => {
    const full = openQueue();
    for (let name = 0; name <= MAX_WAITING_REPORTS; name += 1) full.say(name);
    expect(full.failures.map(({ code }) => code)).toEqual(["UNAVAILABLE"]);
    const broken = openQueue();
    broken.queue.open();
    broken.failWith(new Error("too large"));
    broken.say(1);
    broken.say(2);
    expect(broken.failures).toHaveLength(2);
  });
});
