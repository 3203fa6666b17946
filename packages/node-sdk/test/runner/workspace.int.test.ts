import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { parseRelativePath, prepareTaskPlace } from "../../src/runner/workspace.js";

const directories: string[] = [];

function temporaryRoot(): string {
  const directory = mkdtempSync(join(tmpdir(), "cortex-place-"));
  directories.push(directory);
  return directory;
}

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

const SESSION = "ses_01HZZZZZZZZZZZZZZZZZZZZZZZ";

describe("where a task works", () => {
  it.each([
    ["/etc", "PATH_OUTSIDE_WORKSPACE"],
    ["..", "PATH_OUTSIDE_WORKSPACE"],
    ["a/../../b", "PATH_OUTSIDE_WORKSPACE"],
    ["a\0b", "BAD_NAME"],
    [".cortex", "BAD_NAME"],
    ["a/.CorTex/b", "BAD_NAME"],
    [".\uFF43ortex", "BAD_NAME"],
    ["x".repeat(256), "BAD_NAME"],
    ["a/".repeat(2_049), "BAD_NAME"],
  ])("I10: the path %j is refused", (path, code) => {
    expect(() => parseRelativePath(path)).toThrow(expect.objectContaining({ code }));
  });

  it("I10: the workspace is made for its owner alone, named by the session unless it is given", async () => {
    const workspaceRoot = temporaryRoot();
    const base = { workspaceRoot, sessionId: SESSION, cwd: "" };
    const place = await prepareTaskPlace({ ...base, workspacePath: "" });
    expect(place.workspacePath.endsWith(`/${SESSION}`)).toBe(true);
    expect(statSync(place.workspacePath).mode & 0o777).toBe(0o700);
    const given = await prepareTaskPlace({ ...base, workspacePath: "team/one" });
    expect(given.cwd.endsWith("/team/one")).toBe(true);
  });

  it("I10: a link that leads out is not followed, for the workspace and for the working directory", async () => {
    const workspaceRoot = temporaryRoot();
    const outside = temporaryRoot();
    symlinkSync(outside, join(workspaceRoot, "link"));
    const base = { workspaceRoot, sessionId: SESSION };
    await expect(prepareTaskPlace({ ...base, workspacePath: "link/made", cwd: "" })).rejects.toMatchObject({
      code: "PATH_OUTSIDE_WORKSPACE",
    });
    expect(() => statSync(join(outside, "made"))).toThrow();
    mkdirSync(join(workspaceRoot, "work"));
    symlinkSync("..", join(workspaceRoot, "work", "up"));
    await expect(prepareTaskPlace({ ...base, workspacePath: "work", cwd: "up" })).rejects.toMatchObject({
      code: "PATH_OUTSIDE_WORKSPACE",
    });
    await expect(prepareTaskPlace({ ...base, workspacePath: "work", cwd: "none" })).rejects.toMatchObject({
      code: "BAD_REQUEST",
    });
  });
});
