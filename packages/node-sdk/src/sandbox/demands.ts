/**
 * What a task or a policy demands of a sandbox, against what the level enforces. Pure.
 *
 * A demand that cannot be enforced is refused by name, never dropped: whoever asked for a limit relies on it. Output and
 * run time are not here; the node enforces both at every level.
 */
import { CortexError, type IsolationLevel, type Policy } from "@cortex-mesh/protocol";
import type { SandboxRequest } from "@cortex-mesh/protocol/gen";

/**
 * Refuses what the level `none` cannot enforce; the drivers of other levels prove what they enforce.
 *
 * @throws {@link CortexError} `SANDBOX_UNAVAILABLE`, naming what to leave out.
 */
export function assertEnforceable(
  level: IsolationLevel,
  request: SandboxRequest | undefined,
  policy: Policy | undefined,
): void {
  if (level !== "none") return;
  const asked = demandsOf(request?.network?.mode || "open", {
    memBytes: Number(request?.limits?.memoryBytes ?? 0n),
    cpuRatio: request?.limits?.cpuRatio,
    pids: request?.limits?.pids,
    fileBytes: Number(request?.limits?.fileBytes ?? 0n),
    diskBytes: Number(request?.limits?.diskBytes ?? 0n),
  });
  if (asked.length > 0) {
    const names = asked.map((name) => `sandbox.${name}`).join(", ");
    throw unavailable(
      `${names} cannot be enforced at level "none", which is all this node has: leave out ${names}, or send the task ` +
        "to a node with a sandbox",
    );
  }
  const ruled = demandsOf(policy?.network.mode ?? "open", policy?.limits ?? {});
  if (ruled.length > 0) {
    throw unavailable(`the policy sets ${ruled.join(", ")}, which this node cannot enforce: it has level "none" only`);
  }
}

interface Limits {
  readonly memBytes?: number | undefined;
  readonly cpuRatio?: number | undefined;
  readonly pids?: number | undefined;
  readonly fileBytes?: number | undefined;
  readonly diskBytes?: number | undefined;
}

function demandsOf(networkMode: string, limits: Limits): string[] {
  const { memBytes = 0, cpuRatio = 0, pids = 0, fileBytes = 0, diskBytes = 0 } = limits;
  const set = Object.entries({ memBytes, cpuRatio, pids, fileBytes, diskBytes }).filter(([, value]) => value !== 0);
  return [...(networkMode === "open" ? [] : ["network"]), ...set.map(([name]) => `limits.${name}`)];
}

function unavailable(message: string): CortexError {
  return new CortexError("SANDBOX_UNAVAILABLE", message);
}
