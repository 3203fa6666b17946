/** Timers in the order of their times; those of one time in the order they were added. A binary heap: adding costs a few compares. */

/** A timer that waits. */
export interface QueuedTimer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  isRemoved: boolean;
}

/** Timers that wait. */
export interface TimerQueue {
  readonly count: number;
  add(atMs: number, run: () => void): QueuedTimer;
  /** Harmless when it ran already. */
  remove(timer: QueuedTimer): void;
  /** Takes out the first timer, if it is due by `untilMs`. */
  takeDue(untilMs: number): QueuedTimer | undefined;
}

/** Makes an empty queue. */
export function createTimerQueue(): TimerQueue {
  const heap: QueuedTimer[] = [];
  let order = 0;
  let waitingCount = 0;
  const pop = (): void => {
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    sink(heap, 0);
  };
  return {
    get count() {
      return waitingCount;
    },
    add(atMs, run) {
      order += 1;
      waitingCount += 1;
      const timer: QueuedTimer = { atMs, order, run, isRemoved: false };
      heap.push(timer);
      rise(heap, heap.length - 1);
      return timer;
    },
    remove(timer) {
      if (timer.isRemoved) return;
      // It leaves the heap when its time comes.
      timer.isRemoved = true;
      waitingCount -= 1;
    },
    takeDue(untilMs) {
      for (let first = heap[0]; first !== undefined; first = heap[0]) {
        if (!first.isRemoved && first.atMs > untilMs) return undefined;
        pop();
        if (first.isRemoved) continue;
        first.isRemoved = true;
        waitingCount -= 1;
        return first;
      }
      return undefined;
    },
  };
}

function isBefore(left: QueuedTimer, right: QueuedTimer): boolean {
  return left.atMs === right.atMs ? left.order < right.order : left.atMs < right.atMs;
}

function rise(heap: QueuedTimer[], from: number): void {
  for (let at = from; at > 0; ) {
    const parent = (at - 1) >> 1;
    if (!swapIfBefore(heap, at, parent)) return;
    at = parent;
  }
}

function sink(heap: QueuedTimer[], from: number): void {
  for (let at = from; ; ) {
    const left = 2 * at + 1;
    const [leftTimer, rightTimer] = [heap[left], heap[left + 1]];
    if (leftTimer === undefined) return;
    const child = rightTimer !== undefined && isBefore(rightTimer, leftTimer) ? left + 1 : left;
    if (!swapIfBefore(heap, child, at)) return;
    at = child;
  }
}

/** Exchanges two places when the timer of the first comes before that of the second. */
function swapIfBefore(heap: QueuedTimer[], first: number, second: number): boolean {
  const [a, b] = [heap[first], heap[second]];
  if (a === undefined || b === undefined || !isBefore(a, b)) return false;
  heap[first] = b;
  heap[second] = a;
  return true;
}
