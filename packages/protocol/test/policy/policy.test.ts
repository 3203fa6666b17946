import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isHostAllowed } from "../../src/policy/host-rules.js";
import { intersectPolicies } from "../../src/policy/intersect.js";
import { isAtLeastLevel } from "../../src/policy/isolation-level.js";
import {
  DEFAULT_POLICY,
  isEnvDenied,
  MAX_POLICY_BYTES,
  type Policy,
  parsePolicy,
  parsePolicyBytes,
  policyBytes,
  policyHash,
} from "../../src/policy/policy.js";
import { catchCortexError } from "../signing/catch-cortex-error.js";
import { arbitraryPolicy, ENV_NAMES, HOSTS, PORTS } from "./arbitrary-policy.js";

describe("a policy", () => {
  it("X2: has documented defaults", () => {
    expect(DEFAULT_POLICY).toEqual({
      version: 1,
      mode: "permissive",
      level: "none",
      network: { mode: "open", allow: [] },
      limits: {},
      env: { deny: [] },
    });
  });

  it("X2: has one spelling and therefore one hash", () => {
    const left = parsePolicy({
      network: {
        mode: "allow",
        allow: [
          { host: "B.example.com", ports: [443, 80] },
          { host: "a.example.com" },
          { host: "a.example.com", ports: [1] },
        ],
      },
      env: { deny: ["Z", "LD_PRELOAD", "LD_*", "Z"] },
    });
    const right = parsePolicy({
      env: { deny: ["LD_*", "Z"] },
      network: { allow: [{ host: "a.example.com" }, { ports: [80, 443], host: "b.example.com" }], mode: "allow" },
      level: "none",
    });
    expect(left).toEqual(right);
    expect(Buffer.from(policyHash(left))).toEqual(Buffer.from(policyHash(right)));
  });

  it("I4: its hash is over committed bytes", () => {
    expect(Buffer.from(policyBytes(DEFAULT_POLICY)).toString("utf8")).toBe(
      '{"env":{"deny":[]},"level":"none","limits":{},"mode":"permissive","network":{"allow":[],"mode":"open"},"version":1}',
    );
    expect(Buffer.from(policyHash(DEFAULT_POLICY)).toString("hex")).toBe(
      "a9261d54b23ac0ca61ed5baeb2040a64fe7c05ce49645eb9d9d3854c3f0eee25",
    );
  });

  it("X2: comes back from its bytes", () => {
    fc.assert(
      fc.property(arbitraryPolicy, (policy) => {
        expect(parsePolicyBytes(policyBytes(policy))).toEqual(policy);
      }),
    );
  });

  it.each<[string, unknown]>([
    ["policy", { sandbox: true }],
    ["policy.version", { version: 2 }],
    ["policy.level", { level: "strict" }],
    ["policy.network", { network: { mode: "open", alow: [] } }],
    ["policy.network.allow", { network: { mode: "open", allow: [{ host: "a.b" }] } }],
    ["policy.network.allow.0.host", { network: { mode: "allow", allow: [{ host: "*" }] } }],
    ["policy.network.allow.0.host", { network: { mode: "allow", allow: [{ host: "*.0.0.1" }] } }],
    ["policy.network.allow.0.host", { network: { mode: "allow", allow: [{ host: "a b" }] } }],
    ["policy.network.allow.0.host", { network: { mode: "allow", allow: [{ host: "evil.com\u0000.good.com" }] } }],
    ["policy.network.allow.0.ports.0", { network: { mode: "allow", allow: [{ host: "a.b", ports: [0] }] } }],
    ["policy.limits.memBytes", { limits: { memBytes: 0 } }],
    ["policy.limits", { limits: { memoryBytes: 1 } }],
    ["policy.env.deny.0", { env: { deny: ["A=B"] } }],
    ["policy.maxTasks", { maxTasks: 1.5 }],
  ])("X2: a fault is refused by its key: %s", (path, value) => {
    const error = catchCortexError(() => parsePolicy(value));
    expect(error?.code).toBe("BAD_REQUEST");
    expect(error?.details["path"]).toBe(path);
  });

  it("X2: bytes that are no JSON, or too many, are refused", () => {
    expect(catchCortexError(() => parsePolicyBytes(Buffer.from("{")))?.code).toBe("BAD_REQUEST");
    expect(catchCortexError(() => parsePolicyBytes(new Uint8Array(MAX_POLICY_BYTES + 1)))?.code).toBe("TOO_LARGE");
  });

  it("X3: a wildcard covers the names below it, not the name itself", () => {
    const rules = [{ host: "*.example.com", ports: [443] }];
    expect(isHostAllowed(rules, "a.example.com", 443)).toBe(true);
    expect(isHostAllowed(rules, "b.a.example.com", 443)).toBe(true);
    expect(isHostAllowed(rules, "example.com", 443)).toBe(false);
    expect(isHostAllowed(rules, "badexample.com", 443)).toBe(false);
    expect(isHostAllowed(rules, "a.example.com", 80)).toBe(false);
  });
});

describe("intersectPolicies", () => {
  it("X2: allows exactly what both allow", () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitraryPolicy, (node, hub) => {
        const both = intersectPolicies(node, hub);
        for (const host of HOSTS) {
          for (const port of PORTS) {
            expect(canReach(both, host, port)).toBe(canReach(node, host, port) && canReach(hub, host, port));
          }
        }
        for (const name of ENV_NAMES) expect(denies(both, name)).toBe(denies(node, name) || denies(hub, name));
      }),
      { numRuns: 500 },
    );
  });

  it("X2: is never wider than either in level, mode, limits and tasks", () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitraryPolicy, (node, hub) => {
        const both = intersectPolicies(node, hub);
        for (const side of [node, hub]) {
          expect(isAtLeastLevel(both.level, side.level)).toBe(true);
          if (side.mode === "strict") expect(both.mode).toBe("strict");
          expect(both.maxTasks ?? Number.POSITIVE_INFINITY).toBeLessThanOrEqual(
            side.maxTasks ?? Number.POSITIVE_INFINITY,
          );
          for (const [key, limit] of Object.entries(side.limits)) {
            expect(both.limits[key as keyof Policy["limits"]]).toBeLessThanOrEqual(limit as number);
          }
        }
      }),
    );
  });

  it("X2: is commutative, associative and idempotent, and the default changes nothing", () => {
    fc.assert(
      fc.property(arbitraryPolicy, arbitraryPolicy, arbitraryPolicy, (a, b, c) => {
        expect(intersectPolicies(a, b)).toEqual(intersectPolicies(b, a));
        expect(intersectPolicies(a, intersectPolicies(b, c))).toEqual(intersectPolicies(intersectPolicies(a, b), c));
        expect(intersectPolicies(a, a)).toEqual(a);
        expect(intersectPolicies(a, DEFAULT_POLICY)).toEqual(a);
      }),
      { numRuns: 300 },
    );
  });

  it("X2: lists without a common host leave no network", () => {
    const allow = (host: string) => parsePolicy({ network: { mode: "allow", allow: [{ host }] } });
    expect(intersectPolicies(allow("a.com"), allow("b.com")).network).toEqual({ mode: "none", allow: [] });
  });
});

function canReach(policy: Policy, host: string, port: number): boolean {
  return policy.network.mode === "open" || isHostAllowed(policy.network.allow, host, port);
}

function denies(policy: Policy, name: string): boolean {
  return isEnvDenied(policy.env.deny, name);
}
