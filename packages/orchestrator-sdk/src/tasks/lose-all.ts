/** Settles what a node can never report any more, because it was revoked: its attempts are lost at once, not after a wait. */
import type { NodeId } from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import type { HubStore } from "../store/store.js";
import type { TaskWriter } from "./commit.js";

const PAGE = 500;

/** Loses every unfinished attempt of a node. */
export async function loseAttemptsOf(
  { store, writer }: { readonly store: HubStore; readonly writer: TaskWriter },
  nodeId: NodeId,
): Promise<void> {
  const filter = { nodeId, states: ["leased", "running"] } as const;
  for (let after: string | undefined; ; ) {
    const page = await store.tasks.list(systemScope, filter, { after, limit: PAGE });
    await Promise.all(
      page.map(({ taskId, attempt }) => writer.apply(taskId, { type: "lose", attempt, note: "the node was revoked" })),
    );
    after = page.at(-1)?.taskId;
    if (page.length < PAGE) return;
  }
}
