import fc from "fast-check";
import { ISOLATION_LEVELS } from "../../src/policy/isolation-level.js";
import { type Policy, parsePolicy } from "../../src/policy/policy.js";

/** Few hosts and ports, so that rules meet. */
export const HOSTS = ["example.com", "a.example.com", "b.a.example.com", "other.org", "10.0.0.1"] as const;
export const PORTS = [80, 443, 8080] as const;
export const ENV_NAMES = ["PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "HOME"] as const;

const host = fc.constantFrom<string>(...HOSTS, "*.example.com", "*.a.example.com", "*.org");
const ports = fc.uniqueArray(fc.constantFrom<number>(...PORTS), { minLength: 1 });
const rule = fc.record({ host, ports }, { requiredKeys: ["host"] });
const network = fc.oneof(
  fc.constant({ mode: "none" }),
  fc.constant({ mode: "open" }),
  fc.record({ mode: fc.constant("allow"), allow: fc.array(rule, { maxLength: 5 }) }),
);
const limit = fc.integer({ min: 1, max: 9 });
const limits = fc.record({ memBytes: limit, cpuRatio: limit, pids: limit, wallMs: limit }, { requiredKeys: [] });
const deny = fc.array(fc.constantFrom<string>(...ENV_NAMES, "LD_*", "*"), { maxLength: 4 });

/** Any policy, in its one spelling. */
export const arbitraryPolicy: fc.Arbitrary<Policy> = fc
  .record(
    {
      mode: fc.constantFrom("strict", "permissive"),
      level: fc.constantFrom(...ISOLATION_LEVELS),
      network,
      limits,
      env: fc.record({ deny }),
      maxTasks: limit,
    },
    { requiredKeys: ["mode", "level", "network", "limits"] },
  )
  .map((value) => parsePolicy(value));
