import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MAX_PENDING_INPUT_BYTES } from "@cortex-mesh/protocol";
import { HELD_READS } from "../../../src/sandbox/output-pipe.js";
import { isAlive, readAll, readNumbers, runToEnd, startProcess, until } from "../start-process.js";

const ended = expect.objectContaining({ code: "ALREADY_ENDED" }) as Error;

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cortex-io-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe("output", () => {
  it("E2: 10 MB arrive byte for byte through a slow reader, who makes the process wait and holds little", async () => {
    const sizeBytes = 10 * 1024 * 1024;
    const running = await startProcess(`yes 0123456 | head -c ${sizeBytes}; echo written >&2`);
    const stderr = readAll(running.stderr);
    let isWritten = false;
    void stderr.then(() => {
      isWritten = true;
    });
    const expected = Buffer.from("0123456\n".repeat(sizeBytes / 8));
    let readBytes = 0;
    let mostHeldReads = 0;
    for await (const chunk of running.stdout as AsyncIterable<Buffer>) {
      if (!chunk.equals(expected.subarray(readBytes, readBytes + chunk.length)))
        throw new Error(`differs near ${readBytes}`);
      expect(chunk.length).toBeLessThanOrEqual(64 * 1024);
      readBytes += chunk.length;
      // Not reading until the buffer is full shows that the pipe is left alone from there on.
      if (readBytes < sizeBytes / 2) await until(() => running.stdout.readableLength >= HELD_READS, "a full buffer");
      mostHeldReads = Math.max(mostHeldReads, running.stdout.readableLength);
      if (readBytes < sizeBytes / 2) expect(isWritten).toBe(false);
    }
    expect(readBytes).toBe(sizeBytes);
    expect(mostHeldReads).toBeLessThanOrEqual(HELD_READS + 1);
    expect((await stderr).toString()).toBe("written\n");
  });

  it("E2: standard output and standard error are apart, and bytes are not touched", async () => {
    const running = await startProcess("printf '\\377\\000\\n\\200'; printf 'e\\303' >&2");
    const [stdout, stderr] = await Promise.all([readAll(running.stdout), readAll(running.stderr)]);
    expect([...stdout]).toEqual([255, 0, 10, 128]);
    expect([...stderr]).toEqual([101, 0xc3]);
  });

  it("E1: standard streams can be opened by name", async () => {
    const { stdout, stderr } = await runToEnd("echo a > /dev/stdout; echo b > /dev/stderr; echo c | tee /dev/stderr");
    expect({ stdout, stderr }).toEqual({ stdout: "a\nc\n", stderr: "b\nc\n" });
  });

  it("E2: without a stock of pipes the bytes are the same", async () => {
    const running = await startProcess("cat; echo e >&2", { pipes: "none", stdin: true });
    await running.writeInput(Buffer.from("in"));
    running.endInput();
    expect((await Promise.all([readAll(running.stdout), readAll(running.stderr)])).map(String)).toEqual(["in", "e\n"]);
    expect(await running.exited).toMatchObject({ exitCode: 0 });
  });

  it("E2: output that nobody read before the end is still there after it", async () => {
    const running = await startProcess("printf %1000s x");
    await running.exited;
    expect((await readAll(running.stdout)).length).toBe(1000);
  });

  it("E2: what a process left behind wrote before it was killed is kept, and the output ends", async () => {
    const { stdout } = await runToEnd("(echo late; exec sleep 300) & sleep 0.2; echo first");
    expect(stdout).toBe("late\nfirst\n");
  });

  it("E3: the output ends although a process that escaped the tree holds it open", async () => {
    const running = await startProcess("setsid env -i sh -c 'echo $$; exec sleep 300' & sleep 0.2; exit 0");
    const text = await readAll(running.stdout);
    const escaped = Number(text.toString());
    const isEscaped = isAlive(escaped);
    if (isEscaped) process.kill(escaped, "SIGKILL");
    // Without the escape this would prove nothing.
    expect(isEscaped).toBe(true);
    expect(await running.exited).toMatchObject({ exitCode: 0 });
  });
});

describe("input", () => {
  it("E8: bytes arrive in order, and the end of input ends the process", async () => {
    const running = await startProcess("cat", { stdin: true });
    const output = readAll(running.stdout);
    await Promise.all([
      running.writeInput(Buffer.from("one ")),
      running.writeInput(Buffer.from([0, 255])),
      running.writeInput(Buffer.from("\n")),
    ]);
    running.endInput();
    running.endInput();
    expect(await output).toEqual(Buffer.from([...Buffer.from("one "), 0, 255, 10]));
    expect(await running.exited).toMatchObject({ exitCode: 0 });
  });

  it("E8: a process started without input reads its end at once, and a write is refused", async () => {
    const running = await startProcess("cat; echo done");
    await expect(running.writeInput(Buffer.from("x"))).rejects.toEqual(
      expect.objectContaining({ code: "BAD_REQUEST" }),
    );
    running.endInput();
    expect((await readAll(running.stdout)).toString()).toBe("done\n");
  });

  it("E8: a write to a process that closed its input is a typed error", async () => {
    const running = await startProcess("exec 0<&-; echo 1; sleep 300", { stdin: true });
    await readNumbers(running.stdout, 1);
    await expect(running.writeInput(Buffer.from("x"))).rejects.toEqual(ended);
    await expect(running.writeInput(Buffer.from("x"))).rejects.toEqual(ended);
    await running.terminate({ graceMs: 0 });
  });

  it("E8: a write that waits when the process ends is a typed error, and so is each one after", async () => {
    const running = await startProcess("echo 1; sleep 300", { stdin: true });
    await readNumbers(running.stdout, 1);
    const waiting = running.writeInput(Buffer.alloc(MAX_PENDING_INPUT_BYTES));
    const rejected = expect(waiting).rejects.toEqual(ended);
    await running.terminate({ graceMs: 0 });
    await rejected;
    await expect(running.writeInput(Buffer.from("x"))).rejects.toEqual(ended);
  });

  it("E8: a write resolves only when the pipe took it, and more than the limit is refused, not queued", async () => {
    const running = await startProcess("while ! test -s go; do sleep 0.01; done; wc -c", {
      stdin: true,
      cwd: directory,
    });
    let isTaken = false;
    const first = running.writeInput(Buffer.alloc(MAX_PENDING_INPUT_BYTES)).then(() => {
      isTaken = true;
    });
    await expect(running.writeInput(Buffer.from("x"))).rejects.toEqual(
      expect.objectContaining({ code: "QUOTA_EXCEEDED" }),
    );
    expect(isTaken).toBe(false);
    await writeFile(join(directory, "go"), "go");
    await first;
    await running.writeInput(Buffer.from("x"));
    running.endInput();
    expect((await readAll(running.stdout)).toString().trim()).toBe(String(MAX_PENDING_INPUT_BYTES + 1));
  });

  it("E8: input written after the end of input is a typed error", async () => {
    const running = await startProcess("cat", { stdin: true });
    running.stdout.resume();
    running.endInput();
    await expect(running.writeInput(Buffer.from("x"))).rejects.toEqual(ended);
    await running.exited;
  });
});
