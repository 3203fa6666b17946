/** The nodes of all users of a hub: as they stand, and as they change. For the one who runs the hub. */
import type { Hub } from "@cortex-mesh/orchestrator-sdk";
import type { Users } from "./users.js";

/** One line of the list. */
export interface NodeLine {
  readonly nodeId: string;
  readonly name: string;
  readonly owner: string;
  readonly status: string;
  readonly runningTasks: number;
  /** ISO 8601; null before the node was ever online. */
  readonly lastSeenAt: string | null;
}

/** What {@link watchNodes} follows. */
export interface WatchNodesOptions {
  readonly hub: Pick<Hub, "as">;
  readonly users: Pick<Users, "list">;
  readonly signal: AbortSignal;
}

const PAGE_NODES = 1000;
/** Changes come by the feed; figures, and users who were added meanwhile, at the latest after this time. */
const REFRESH_MS = 5_000;

/** Lists the nodes of all users. */
export async function listNodes(hub: Pick<Hub, "as">, users: Pick<Users, "list">): Promise<NodeLine[]> {
  const lines: NodeLine[] = [];
  for (const { name } of await users.list()) {
    const api = hub.as(name);
    for (let cursor: string | undefined; ; ) {
      const page = await api.listNodes({ limit: PAGE_NODES, cursor });
      for (const { nodeId, name, ownerId, status, usage, lastSeenAt } of page.items) {
        lines.push({ nodeId, name, owner: ownerId, status, runningTasks: usage?.runningTasks ?? 0, lastSeenAt });
      }
      if (page.nextCursor === null) break;
      cursor = page.nextCursor;
    }
  }
  return lines;
}

/** Yields each node as it stands, then each one that changed, until the signal aborts. */
export async function* watchNodes({ hub, users, signal }: WatchNodesOptions): AsyncGenerator<NodeLine> {
  const shown = new Map<string, string>();
  const bell = createBell(signal);
  const followed = new Set<string>();
  while (!signal.aborted) {
    for (const { name } of await users.list()) {
      if (followed.has(name)) continue;
      followed.add(name);
      // A feed that ends is followed anew at the next refresh.
      void followNodes({ hub, name, signal, ring: bell.ring }).finally(() => followed.delete(name));
    }
    for (const line of await listNodes(hub, users)) {
      const text = `${line.status} ${line.name} ${line.runningTasks}`;
      if (shown.get(line.nodeId) === text) continue;
      shown.set(line.nodeId, text);
      yield line;
    }
    await bell.wait(REFRESH_MS);
  }
}

async function followNodes(options: {
  readonly hub: Pick<Hub, "as">;
  readonly name: string;
  readonly signal: AbortSignal;
  readonly ring: () => void;
}): Promise<void> {
  try {
    for await (const { event } of options.hub.as(options.name).followEvents({}, { signal: options.signal })) {
      if (event.startsWith("node.")) options.ring();
    }
  } catch {
    // The reader fell behind what is kept, or the hub closes: the next refresh lists everything anyway.
  }
}

/** Wakes one waiter; a ring that nobody waits for is remembered. */
function createBell(signal: AbortSignal) {
  let isRung = false;
  let wake = (): void => {};
  const ring = (): void => {
    isRung = true;
    wake();
  };
  signal.addEventListener("abort", ring, { once: true });
  return {
    ring,
    async wait(timeoutMs: number): Promise<void> {
      if (!isRung && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, timeoutMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      isRung = false;
    },
  };
}
