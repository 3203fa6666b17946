import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildEnvironment, cleanPath, DEFAULT_PATH, MAX_ENVIRONMENT_BYTES } from "../../src/sandbox/environment.js";

const build = (requested: Record<string, string> = {}, host: Record<string, string> = { PATH: "/usr/bin:/bin" }) =>
  buildEnvironment({ workspacePath: "/home/ws", temporaryPath: "/tmp/t", host, requested });

describe("the environment of a task", () => {
  it("E1: the base is PATH, HOME, LANG and TMPDIR, and nothing else of the node comes in", () => {
    const { env } = build(
      {},
      { PATH: "/usr/bin", LANG: "de_DE.UTF-8", AWS_SECRET_ACCESS_KEY: "x", HOME: "/root", SHELL: "/bin/zsh" },
    );
    expect({ ...env }).toEqual({ PATH: "/usr/bin", HOME: "/home/ws", LANG: "de_DE.UTF-8", TMPDIR: "/tmp/t" });
  });

  it("E1: what the dispatch asks for goes over the base", () => {
    expect({ ...build({ LANG: "C", CI: "1", HOME: "/x" }).env }).toMatchObject({ LANG: "C", CI: "1", HOME: "/x" });
  });

  it.each(
    "LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT DYLD_INSERT_LIBRARIES NODE_OPTIONS BASH_ENV ENV SHELLOPTS PS4 IFS PERL5OPT GLIBC_TUNABLES CORTEX_TASK CORTEX_NODE".split(
      " ",
    ),
  )("E1: %s is left out and named", (name) => {
    const { env, denied } = build({ [name]: "1", CI: "1" });
    expect(env[name]).toBeUndefined();
    expect(env["CI"]).toBe("1");
    expect(denied).toEqual([name]);
  });

  it.each(["", "A B", "A=B", "1A", "Ä", "A\0", "A".repeat(257)])("E1: the name %j is refused", (name) => {
    expect(() => build({ [name]: "1" })).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  });

  it("E1: a value with NUL, or one that is no string, is refused", () => {
    expect(() => build({ A: "x\0y" })).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
    expect(() => build({ A: 1 } as unknown as Record<string, string>)).toThrow(
      expect.objectContaining({ code: "BAD_REQUEST" }),
    );
  });

  it("E1: an environment over its limit is refused", () => {
    expect(build({ A: "x".repeat(MAX_ENVIRONMENT_BYTES - 10) }).env["A"]).toBeDefined();
    expect(() => build({ A: "x".repeat(MAX_ENVIRONMENT_BYTES) })).toThrow(
      expect.objectContaining({ code: "TOO_LARGE" }),
    );
  });

  it("E1: a name like __proto__ is a name and changes no object", () => {
    const requested = JSON.parse('{"__proto__": "x", "constructor": "y"}') as Record<string, string>;
    const { env } = build(requested);
    expect(Object.keys(env)).toContain("__proto__");
    expect(env["constructor"]).toBe("y");
  });

  it("E1: a LANG that is no locale becomes C.UTF-8", () => {
    expect(build({}, { LANG: "$(id)" }).env["LANG"]).toBe("C.UTF-8");
    expect(build({}, {}).env["LANG"]).toBe("C.UTF-8");
  });
});

describe("the PATH of a task", () => {
  it.each([
    ["", DEFAULT_PATH],
    [".:bin::", DEFAULT_PATH],
    ["/usr/bin::/bin:.", "/usr/bin:/bin"],
    ["/a:/b:/a", "/a:/b"],
    ["/repo/node_modules/.bin:/usr/lib/node_modules/npm/bin/node-gyp-bin:/usr/bin", "/usr/bin"],
  ])("E1: %j becomes %j", (path, cleaned) => {
    expect(cleanPath(path)).toBe(cleaned);
  });

  it("E1: for any PATH, each entry is absolute and there is at least one", () => {
    fc.assert(
      fc.property(fc.string(), (path) => {
        for (const entry of cleanPath(path).split(":")) expect(entry.startsWith("/")).toBe(true);
      }),
    );
  });
});
