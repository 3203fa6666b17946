import { closeSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createPipePool, type PipePool } from "../../src/sandbox/pipe-pool.js";
import { readAll } from "./start-process.js";

let directory: string;
let pool: PipePool;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cortex-pool-"));
  mkdirSync(join(directory, "pipes-left-behind"));
  mkdirSync(join(directory, "other"));
  pool = createPipePool(directory);
});

afterEach(() => {
  pool.close();
  rmSync(directory, { recursive: true, force: true });
});

describe("the stock of pipes", () => {
  it("E2: what a process writes is read, and the end comes when it closes its end", async () => {
    const pipe = (await pool.take("read"))!;
    writeSync(pipe.descriptor, "hello");
    closeSync(pipe.descriptor);
    expect((await readAll(pipe.socket)).toString()).toBe("hello");
  });

  it("E2: no two takers get the same pipe, however many at once", async () => {
    const pipes = await Promise.all(Array.from({ length: 120 }, () => pool.take("read")));
    pipes.forEach((pipe, index) => {
      writeSync(pipe!.descriptor, String(index));
      closeSync(pipe!.descriptor);
    });
    const texts = await Promise.all(pipes.map(async (pipe) => (await readAll(pipe!.socket)).toString()));
    expect(texts).toEqual(pipes.map((_, index) => String(index)));
  });

  it("E2: what an earlier run left is removed, and nothing else", async () => {
    expect(readdirSync(directory)).not.toContain("pipes-left-behind");
    expect(readdirSync(directory)).toContain("other");
  });

  it("E2: after its close, and where pipes cannot be made, it gives none", async () => {
    pool.close();
    expect(await pool.take("read")).toBeUndefined();
  });

  it("E2: a program that makes pipes is not asked again when it is missing", async () => {
    const path = process.env["PATH"];
    process.env["PATH"] = directory;
    const [first, second] = [await pool.take("read"), await pool.take("write")];
    process.env["PATH"] = path;
    expect([first, second, await pool.take("read")]).toEqual([undefined, undefined, undefined]);
  });
});
