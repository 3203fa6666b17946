import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { followLog } from "../../src/log/follow.js";

/** A log in memory whose reads are held until the test lets them go on. */
function createSource() {
  const items: number[] = [];
  const wakes = new Set<() => void>();
  return {
    items,
    wakes,
    wake: () => {
      for (const wake of wakes) wake();
    },
    subscribe: (wake: () => void) => {
      wakes.add(wake);
      return () => void wakes.delete(wake);
    },
  };
}

/** Counts listeners of a signal. */
function watchSignal(controller: AbortController): { count: number } {
  const { signal } = controller;
  const seen = { count: 0 };
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    seen.count += 1;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    seen.count -= 1;
    remove(...args);
  };
  return seen;
}

describe("following a log", () => {
  it("T5: a reader that was given all waits for a wake without reading again", async () => {
    const source = createSource();
    source.items.push(1, 2);
    let reads = 0;
    const over = new AbortController();
    const stream = followLog<number, number>({
      readAfter: async (cursor) => {
        reads += 1;
        return source.items.filter((item) => item > cursor);
      },
      cursorOf: (item) => item,
      subscribe: source.subscribe,
      after: 0,
      signal: over.signal,
      isAll: () => true,
    });
    expect((await stream.next()).value).toEqual([1, 2]);
    const next = stream.next();
    await new Promise((resolve) => void setImmediate(resolve));
    expect(reads).toBe(1);
    source.items.push(3);
    source.wake();
    expect((await next).value).toEqual([3]);
    expect(reads).toBe(2);
    over.abort();
    expect((await stream.next()).done).toBe(true);
  });

  it("E2: no item is missed or given twice, however appends, wakes and reads interleave", async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.integer({ min: 1, max: 20 }), fc.nat(5), async (scheduler, count, after) => {
        const isAll = after % 2 === 0 ? (items: readonly number[]) => items.length < 3 : undefined;
        const source = createSource();
        const { signal } = new AbortController();
        const stream = followLog<number, number>({
          // The wait before the read lets appends in after the wake, the wait after it lets them in unseen.
          readAfter: async (cursor) => {
            await scheduler.schedule(Promise.resolve(), "before read");
            const found = source.items.filter((item) => item > cursor).slice(0, 3);
            await scheduler.schedule(Promise.resolve(), "after read");
            return found;
          },
          cursorOf: (item) => item,
          subscribe: source.subscribe,
          after,
          signal,
          isLast: (item) => item === after + count,
          ...(isAll && { isAll }),
        });
        const received: number[] = [];
        const reading = (async () => {
          for await (const batch of stream) {
            expect(batch.length).toBeGreaterThan(0);
            received.push(...batch);
          }
        })();
        const appends = Array.from({ length: count }, (_, index) =>
          scheduler.schedule(Promise.resolve(), `append ${index}`).then(() => {
            source.items.push(after + source.items.length + 1);
            source.wake();
          }),
        );
        await scheduler.waitFor(Promise.all([reading, ...appends]));
        expect(received).toEqual(source.items);
        expect(source.wakes.size).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it("E2: an item appended during a read that saw nothing is given without another wake", async () => {
    const source = createSource();
    const { signal } = new AbortController();
    let readCount = 0;
    const stream = followLog<number, number>({
      readAfter: async (cursor) => {
        const found = source.items.filter((item) => item > cursor);
        readCount += 1;
        if (readCount === 1) {
          source.items.push(1);
          source.wake();
        }
        return found;
      },
      cursorOf: (item) => item,
      subscribe: source.subscribe,
      after: 0,
      signal,
    });
    expect(await stream.next()).toEqual({ done: false, value: [1] });
    await stream.return();
  });

  it("E2: an abort ends a wait and a read that fails because of it, and no listener is left", async () => {
    for (const isReading of [false, true]) {
      const source = createSource();
      const controller = new AbortController();
      const listeners = watchSignal(controller);
      const stream = followLog<number, number>({
        readAfter: async (_cursor, signal) => {
          if (!isReading) return [];
          return await new Promise((_, reject) =>
            signal.addEventListener("abort", () => reject(new Error("gone")), { once: true }),
          );
        },
        cursorOf: (item) => item,
        subscribe: source.subscribe,
        after: 0,
        signal: controller.signal,
      });
      const next = stream.next();
      await new Promise((resolve) => setImmediate(resolve));
      expect(source.wakes.size).toBe(1);
      controller.abort();
      expect((await next).done).toBe(true);
      expect(source.wakes.size).toBe(0);
      expect(listeners.count).toBe(isReading ? 1 : 0);
    }
  });

  it("E2: a reader that leaves, and a read that fails, leave no listener", async () => {
    const source = createSource();
    const controller = new AbortController();
    const listeners = watchSignal(controller);
    const options = {
      cursorOf: (item: number) => item,
      subscribe: source.subscribe,
      after: 0,
      signal: controller.signal,
    };
    for await (const batch of followLog({ ...options, readAfter: async () => [1] })) {
      expect(batch).toEqual([1]);
      break;
    }
    const failing = followLog<number, number>({ ...options, readAfter: () => Promise.reject(new Error("no disk")) });
    await expect(failing.next()).rejects.toThrow("no disk");
    expect([source.wakes.size, listeners.count]).toEqual([0, 0]);
  });

  it("E2: what follows the last item is not given", async () => {
    const stream = followLog<number, number>({
      readAfter: async () => [1, 2, 3],
      cursorOf: (item) => item,
      subscribe: () => () => undefined,
      after: 0,
      signal: new AbortController().signal,
      isLast: (item) => item === 2,
    });
    expect(await stream.next()).toEqual({ done: false, value: [1, 2] });
    expect((await stream.next()).done).toBe(true);
  });
});
