import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { parsePolicy } from "@cortex-mesh/protocol";
import { SandboxRequestSchema } from "@cortex-mesh/protocol/gen";
import { assertEnforceable } from "../../src/sandbox/demands.js";

describe("a demand that level none cannot enforce", () => {
  it.each([
    ["network", { network: { mode: "none" } }],
    ["network", { network: { mode: "allow", allow: [{ host: "example.com" }] } }],
    ["network", { network: { mode: "a word of a later version" } }],
    ["limits.memBytes", { limits: { memoryBytes: 1n } }],
    ["limits.cpuRatio", { limits: { cpuRatio: 0.5 } }],
    ["limits.pids", { limits: { pids: 1 } }],
    ["limits.fileBytes", { limits: { fileBytes: 1n } }],
    ["limits.diskBytes", { limits: { diskBytes: 1n } }],
  ])("X1: sandbox.%s is refused by name: %o", (name, fields) => {
    const request = create(SandboxRequestSchema, fields);
    expect(() => assertEnforceable("none", request, undefined)).toThrow(`leave out sandbox.${name}`);
  });

  it.each([
    undefined,
    {},
    { level: "none" },
    { network: { mode: "open" } },
    { limits: { outputBytes: 1n, wallMs: 1n } },
  ])("X1: %o is taken", (fields) => {
    const request = fields === undefined ? undefined : create(SandboxRequestSchema, fields);
    expect(() => assertEnforceable("none", request, undefined)).not.toThrow();
  });

  it("X2: a rule of the policy is never dropped either", () => {
    expect(() => assertEnforceable("none", undefined, parsePolicy({}))).not.toThrow();
    const policy = parsePolicy({ network: { mode: "none" }, limits: { pids: 5 } });
    expect(() => assertEnforceable("none", undefined, policy)).toThrow("the policy sets network, limits.pids");
  });
});
