/** Starts real processes for the tests of the sandbox, and looks at what is left of them. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { afterAll } from "vitest";
import type { ProcessSpec, ProgramSpec, RunningProcess } from "../../src/sandbox/driver.js";
import { createNoneDriver } from "../../src/sandbox/drivers/none.js";
import { createPipePool, type PipePool } from "../../src/sandbox/pipe-pool.js";
import { hasEnded } from "../../src/sandbox/process-sweep.js";
import { listPids, readEntry, readEnviron } from "../../src/sandbox/process-table.js";

let startedCount = 0;
const pipeDirectory = mkdtempSync(join(tmpdir(), "cortex-pipes-"));
const sharedPipes = createPipePool(pipeDirectory);

afterAll(() => {
  sharedPipes.close();
  rmSync(pipeDirectory, { recursive: true, force: true });
});

/** An id that no other test of this machine uses. */
export function freshNodeId(): string {
  startedCount += 1;
  return `node_test_${process.pid}_${startedCount}`;
}

/** Starts a process; a string is a command for the shell, a list a program without one. */
export function startProcess(
  program: string | readonly string[],
  spec: Partial<ProcessSpec> & { readonly nodeId?: string; readonly pipes?: PipePool | "none" } = {},
): Promise<RunningProcess> {
  const { nodeId = freshNodeId(), pipes = sharedPipes, ...rest } = spec;
  const what: ProgramSpec = typeof program === "string" ? { command: program } : { argv: program };
  return createNoneDriver({ nodeId, ...(pipes === "none" ? {} : { pipes }) }).start({
    taskId: "task_1",
    attempt: 1,
    program: what,
    workspacePath: tmpdir(),
    cwd: tmpdir(),
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
    stdin: false,
    ...rest,
  });
}

/** Reads a stream to its end. */
export async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Runs a process to its end and gives its output as text. */
export async function runToEnd(program: string | readonly string[], spec: Parameters<typeof startProcess>[1] = {}) {
  const running = await startProcess(program, spec);
  const [stdout, stderr, exit] = await Promise.all([readAll(running.stdout), readAll(running.stderr), running.exited]);
  return { ...exit, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** Reads numbers, one a line, until there are `count`. */
export async function readNumbers(stream: Readable, count: number): Promise<number[]> {
  let text = "";
  stream.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  const numbers = (): number[] => text.split("\n").slice(0, -1).map(Number);
  while (numbers().length < count) await once(stream, "data");
  return numbers();
}

/** Whether a process runs, and is no zombie. */
export function isAlive(pid: number): boolean {
  const entry = readEntry(pid);
  return entry !== undefined && !hasEnded(entry);
}

/** Processes alive whose environment holds the marker of this node. */
export function listMarked(nodeId: string): number[] {
  return listPids().filter((pid) => isAlive(pid) && (readEnviron(pid)?.includes(`CORTEX_NODE=${nodeId}\0`) ?? false));
}

/** Resolves when `holds` does; looks each 5 ms, fails after 10 s. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const startedAtMs = performance.now();
  while (!holds()) {
    if (performance.now() - startedAtMs > 10_000) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
