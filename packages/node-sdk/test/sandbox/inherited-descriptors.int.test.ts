import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isInheritableInfo } from "../../src/sandbox/inherited-descriptors.js";

const run = promisify(execFile);
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "cortex-descriptors-"));
  const source = await readFile(new URL("../../src/sandbox/inherited-descriptors.ts", import.meta.url), "utf8");
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  await writeFile(join(directory, "close.mjs"), ts.transpileModule(source, { compilerOptions: options }).outputText);
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** A program of Node that inherited descriptors 200 and 201, and tells what its own child sees. */
async function runInheriting(boot: string): Promise<{ closed: number[]; child: string[] }> {
  const program = join(directory, "boot.mjs");
  await writeFile(
    program,
    `import { closeInheritedDescriptors } from "./close.mjs";
     import { execFileSync } from "node:child_process";
     const closed = ${boot};
     await new Promise((resolve) => setTimeout(resolve, 5));
     const child = execFileSync("ls", ["/proc/self/fd"], { encoding: "utf8" }).trim().split("\\n");
     process.stdout.write(JSON.stringify({ closed, child }));`,
  );
  const inherit = `exec 200</dev/null 201</dev/null; exec "$0" "$1"`;
  const { stdout } = await run("bash", ["-c", inherit, process.execPath, program]);
  return JSON.parse(stdout) as { closed: number[]; child: string[] };
}

describe.runIf(process.platform === "linux")("descriptors that a node inherited", () => {
  it("X1: reach no task after they were closed, and Node works on", async () => {
    const { closed, child } = await runInheriting("closeInheritedDescriptors()");
    expect(closed).toEqual(expect.arrayContaining([200, 201]));
    expect(child).not.toEqual(expect.arrayContaining(["200"]));
    expect(child).not.toEqual(expect.arrayContaining(["201"]));
  });

  it("X1: stay open where the program says so", async () => {
    const { closed, child } = await runInheriting("closeInheritedDescriptors({ keep: [201] })");
    expect(closed).toContain(200);
    expect(closed).not.toContain(201);
    expect(child).toContain("201");
  });

  it("X1: would reach a task otherwise", async () => {
    expect((await runInheriting("[]")).child).toContain("200");
  });

  it.each([
    ["pos:\t0\nflags:\t0100000\nmnt_id:\t1\n", true],
    ["pos:\t0\nflags:\t02100000\nmnt_id:\t1\n", false],
    ["pos:\t0\nflags:\t02000002\n", false],
    ["", false],
  ])("X1: %j is inheritable: %s", (text, isInheritable) => {
    expect(isInheritableInfo(text)).toBe(isInheritable);
  });
});
