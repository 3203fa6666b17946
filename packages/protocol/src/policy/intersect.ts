/**
 * What holds when a node and a hub both have a policy: never more than either allows.
 *
 * Pure. Commutative, associative and idempotent on normalised policies; the default policy changes nothing.
 */
import { intersectHostRules } from "./host-rules.js";
import { higherLevel } from "./isolation-level.js";
import { normalizePolicy, type Policy } from "./policy.js";

/** Gives the policy that allows exactly what both allow. */
export function intersectPolicies(node: Policy, hub: Policy): Policy {
  return normalizePolicy({
    version: 1,
    mode: node.mode === "strict" || hub.mode === "strict" ? "strict" : "permissive",
    level: higherLevel(node.level, hub.level),
    network: intersectNetworks(node.network, hub.network),
    limits: intersectLimits(node.limits, hub.limits),
    env: { deny: [...node.env.deny, ...hub.env.deny] },
    ...pick("maxTasks", lower(node.maxTasks, hub.maxTasks)),
  });
}

function intersectNetworks(node: Policy["network"], hub: Policy["network"]): Policy["network"] {
  if (node.mode === "open") return hub;
  if (hub.mode === "open") return node;
  // "none" lists no host, so that nothing is left of the other's list either.
  const allow = intersectHostRules(node.allow, hub.allow);
  return { mode: "allow", allow: allow.map(({ host, ports }) => (ports ? { host, ports: [...ports] } : { host })) };
}

function intersectLimits(node: Policy["limits"], hub: Policy["limits"]): Policy["limits"] {
  return {
    ...pick("memBytes", lower(node.memBytes, hub.memBytes)),
    ...pick("cpuRatio", lower(node.cpuRatio, hub.cpuRatio)),
    ...pick("pids", lower(node.pids, hub.pids)),
    ...pick("outputBytes", lower(node.outputBytes, hub.outputBytes)),
    ...pick("fileBytes", lower(node.fileBytes, hub.fileBytes)),
    ...pick("diskBytes", lower(node.diskBytes, hub.diskBytes)),
    ...pick("wallMs", lower(node.wallMs, hub.wallMs)),
  };
}

function lower(left: number | undefined, right: number | undefined): number | undefined {
  return left === undefined || right === undefined ? (left ?? right) : Math.min(left, right);
}

function pick<Key extends string>(key: Key, value: number | undefined): { [K in Key]?: number } {
  return value === undefined ? {} : ({ [key]: value } as { [K in Key]?: number });
}
