import { describe, expect, it } from "vitest";
import { assertSkillInput, dispatchInput, MAX_TIMEOUT_MS } from "../../src/operations/dispatch-input.js";
import { parseInput } from "../../src/operations/parse-input.js";
import type { Json } from "../../src/store/records.js";

const MINIMAL = { sessionId: "ses_x", skill: "shell", input: { command: "true" } };

/** What is added to the minimal dispatch, and the field that is named. */
const REFUSED: readonly (readonly [string, object, string])[] = [
  ["an unknown key", { comand: "x" }, "comand"],
  ["an unknown key of requires", { requires: { ram: 1 } }, "requires.ram"],
  ["an unknown key of the sandbox", { sandbox: { net: "none" } }, "sandbox.net"],
  ["an unknown limit", { sandbox: { limits: { memory: 1 } } }, "sandbox.limits.memory"],
  ["an unknown key of pty", { pty: { columns: 80, rows: 24, colour: true } }, "pty.colour"],
  ["no skill", { skill: undefined }, "skill"],
  ["an empty skill", { skill: "" }, "skill"],
  ["no input", { input: undefined }, "input"],
  ["an input that is no JSON", { input: new Date(0) }, "input"],
  ["an input with a broken character", { input: { text: "\ud800" } }, "input"],
  ["a time of zero", { timeoutMs: 0 }, "timeoutMs"],
  ["a negative time", { queueTimeoutMs: -1 }, "queueTimeoutMs"],
  ["half a millisecond", { timeoutMs: 0.5 }, "timeoutMs"],
  ["a time that no timer holds", { timeoutMs: MAX_TIMEOUT_MS + 1 }, "timeoutMs"],
  ["a time as text", { timeoutMs: "10" }, "timeoutMs"],
  ["an unknown effect", { effect: "twice" }, "effect"],
  ["an environment value that is no text", { env: { A: 1 } }, "env.A"],
  ["an environment name with =", { env: { "A=B": "x" } }, "env.A=B"],
  ["an environment value with NUL", { env: { A: "x\0y" } }, "env.A"],
  ["secrets that are no list", { secrets: { TOKEN: "x" } }, "secrets"],
  ["stdin as text", { stdin: "yes" }, "stdin"],
  ["a terminal without rows", { pty: { columns: 80 } }, "pty.rows"],
  ["an unknown level", { sandbox: { level: "maximum" } }, "sandbox.level"],
  ["an unknown network", { sandbox: { network: "some" } }, "sandbox.network"],
  ["a negative limit", { sandbox: { limits: { pids: -1 } } }, "sandbox.limits.pids"],
  ["a working directory with NUL", { cwd: "a\0b" }, "cwd"],
  ["an idempotency key with a space", { idempotencyKey: "a b" }, "idempotencyKey"],
  ["an idempotency key of 129 bytes", { idempotencyKey: "x".repeat(129) }, "idempotencyKey"],
];

describe("dispatchInput", () => {
  it.each(REFUSED)("H7: a dispatch with %s is refused and names the field", (_what, change, field) => {
    const refused = expect.objectContaining({ code: "BAD_REQUEST", details: { field } });
    expect(() => parseInput(dispatchInput, { ...MINIMAL, ...change })).toThrow(refused);
  });

  it("H7: everything that the contract names is taken as it is", () => {
    const full = {
      ...MINIMAL,
      nodeId: "node_x",
      requires: {
        os: "linux",
        arch: "x64",
        tools: ["git"],
        labels: { zone: "a" },
        minMemoryBytes: 1,
        minDiskBytes: 1,
        gpu: true,
        sandbox: "workspace",
      },
      cwd: "a/b",
      env: { PATH: "/bin", EMPTY: "" },
      secrets: ["TOKEN"],
      stdin: true,
      pty: { columns: 80, rows: 24 },
      timeoutMs: 1,
      queueTimeoutMs: 1,
      effect: "idempotent",
      sandbox: {
        level: "container",
        network: { allow: [{ host: "example.org", ports: [443] }, { host: "example.com" }] },
        limits: { memBytes: 1, cpuRatio: 0.5, pids: 1, outputBytes: 1, fileBytes: 1, diskBytes: 1, wallMs: 1 },
      },
      idempotencyKey: "k",
    };
    expect(parseInput(dispatchInput, full)).toEqual(full);
  });

  it("H7: what is left out has its default: effect once, no environment, no secrets, no input", () => {
    const defaults = { effect: "once", env: {}, secrets: [], stdin: false };
    expect(parseInput(dispatchInput, MINIMAL)).toEqual({ ...MINIMAL, ...defaults });
  });
});

describe("assertSkillInput", () => {
  it.each([
    ["shell", {}],
    ["shell", { command: "" }],
    ["shell", { command: ["ls"] }],
    ["shell", { argv: [] }],
    ["shell", { argv: "ls" }],
    ["shell", { argv: ["ls", 1] }],
    ["shell", { argv: ["", "x"] }],
    ["shell", { command: "ls", argv: ["ls"] }],
    ["shell", { command: "ls", cwd: "x" }],
    ["shell", { command: "a\0b" }],
    ["shell", "ls"],
    ["shell", null],
    ["echo", {}],
    ["echo", { text: 1 }],
  ] as const)("H7: the skill %s with %j is refused by the hub", (skill, input) => {
    expect(() => assertSkillInput(skill, input)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  });

  it.each([
    ["shell", { command: "ls -l | wc" }],
    ["shell", { argv: ["printf", "%s", "", "; rm -rf /"] }],
    ["echo", { text: "" }],
    ["word-count", { anything: [1, null, { a: true }] }],
    ["word-count", null],
  ] as const)("H7: the skill %s with %j goes to the node", (skill, input) => {
    expect(() => assertSkillInput(skill, input as Json)).not.toThrow();
  });
});
