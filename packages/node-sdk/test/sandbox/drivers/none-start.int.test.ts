import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readEntry } from "../../../src/sandbox/process-table.js";
import { freshNodeId, readNumbers, runToEnd, startProcess } from "../start-process.js";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cortex-none-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const coded = (code: string, message?: RegExp) =>
  message === undefined
    ? expect.objectContaining({ code })
    : expect.objectContaining({ code, message: expect.stringMatching(message) as string });

describe("what cannot be started", () => {
  it("E1: a program that is nowhere on PATH is refused as COMMAND_NOT_FOUND", async () => {
    await expect(startProcess(["no-such-program-here"])).rejects.toEqual(coded("COMMAND_NOT_FOUND", /PATH/));
  });

  it("E1: a path without a file is refused as COMMAND_NOT_FOUND", async () => {
    await expect(startProcess(["./missing"], { cwd: directory })).rejects.toEqual(coded("COMMAND_NOT_FOUND"));
  });

  it("E1: a file that is not executable is refused as COMMAND_NOT_FOUND", async () => {
    await writeFile(join(directory, "plain"), "echo hi\n", { mode: 0o644 });
    await expect(startProcess(["./plain"], { cwd: directory })).rejects.toEqual(
      coded("COMMAND_NOT_FOUND", /may not be executed/),
    );
  });

  it("E1: a script whose interpreter is missing is refused, and the message says so", async () => {
    await writeFile(join(directory, "script"), "#!/no/such/interpreter\n");
    await chmod(join(directory, "script"), 0o755);
    await expect(startProcess(["./script"], { cwd: directory })).rejects.toEqual(
      coded("COMMAND_NOT_FOUND", /interpreter/),
    );
  });

  it("E1: a missing working directory is refused as BAD_REQUEST, and not as a missing program", async () => {
    await expect(startProcess("true", { cwd: join(directory, "gone") })).rejects.toEqual(
      coded("BAD_REQUEST", /^cwd: .*does not exist/),
    );
  });

  it("E1: a working directory that is a file is refused as BAD_REQUEST", async () => {
    await writeFile(join(directory, "file"), "");
    await expect(startProcess("true", { cwd: join(directory, "file") })).rejects.toEqual(
      coded("BAD_REQUEST", /is no directory/),
    );
  });

  it.each([[[]], [[""]], [["echo", "a\0b"]], [["ec\0ho"]]])("E1: argv %j is refused as BAD_REQUEST", async (argv) => {
    await expect(startProcess(argv)).rejects.toEqual(coded("BAD_REQUEST"));
  });

  it("E1: arguments that the system cannot pass are refused as TOO_LARGE", async () => {
    await expect(startProcess(["true", "x".repeat(4 * 1024 * 1024)])).rejects.toEqual(coded("TOO_LARGE"));
  });
});

describe("what is started", () => {
  it("E1: argv runs without a shell: every argument arrives as it is", async () => {
    const { stdout, exitCode } = await runToEnd(["printf", "%s|", "$HOME", "*", "a b", "", ";exit 3", "ä"]);
    expect(stdout).toBe("$HOME|*|a b||;exit 3|ä|");
    expect(exitCode).toBe(0);
  });

  it("E1: a command runs by the shell, without the startup files of a user", async () => {
    await writeFile(join(directory, ".bashrc"), "echo from-bashrc\n");
    await writeFile(join(directory, ".bash_profile"), "echo from-profile\n");
    const env = { PATH: process.env["PATH"] ?? "", HOME: directory };
    const { stdout } = await runToEnd("echo $((1+1)) | cat; echo $HOME", { env });
    expect(stdout).toBe(`2\n${directory}\n`);
  });

  it("E1: it starts in its working directory", async () => {
    await mkdir(join(directory, "sub dir"));
    expect((await runToEnd(["pwd", "-P"], { cwd: join(directory, "sub dir") })).stdout).toMatch(/sub dir\n$/);
  });

  it("E1: its environment is the given one and the marker, nothing of the node's own", async () => {
    process.env["NODE_SECRET_FOR_TEST"] = "leaked";
    const nodeId = freshNodeId();
    const running = await startProcess(["env"], {
      nodeId,
      env: { PATH: "/usr/bin:/bin", A: "1", CORTEX_TASK: "forged" },
    });
    delete process.env["NODE_SECRET_FOR_TEST"];
    let text = "";
    for await (const chunk of running.stdout) text += String(chunk);
    expect(text.trim().split("\n").sort()).toEqual(
      ["A=1", `CORTEX_NODE=${nodeId}`, "CORTEX_TASK=task_1.1", "PATH=/usr/bin:/bin"].sort(),
    );
  });

  it("E3: it leads its own session, apart from the node's", async () => {
    const running = await startProcess("echo $$; sleep 300");
    const [pid] = await readNumbers(running.stdout, 1);
    expect(pid).toBe(running.pid);
    expect(readEntry(running.pid)).toMatchObject({ sessionId: running.pid, groupId: running.pid });
    await running.terminate({ graceMs: 0 });
  });

  it.each([
    ["exit 0", 0, null],
    ["exit 42", 42, null],
    ["kill -SEGV $$", null, "SIGSEGV"],
    ["kill -KILL $$", null, "SIGKILL"],
    ["no-such-program-in-the-shell", 127, null],
  ])("E1: %s ends with exit code %s and signal %s", async (command, exitCode, signal) => {
    expect(await runToEnd(command)).toMatchObject({ exitCode, signal, survivorCount: 0 });
  });

  it("E1: its report claims no isolation, and nonRoot only for a user who is not root", async () => {
    const running = await startProcess("true", { workspacePath: "/ws" });
    expect(running.isolation).toMatchObject({ level: "none", driver: "none", workspacePath: "/ws" });
    expect(running.isolation.enforced.nonRoot).toBe(process.geteuid?.() !== 0);
    running.stdout.resume();
    await running.exited;
  });
});
