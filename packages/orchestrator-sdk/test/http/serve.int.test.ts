import { randomBytes } from "node:crypto";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { MAX_HTTP_JSON_BYTES } from "@cortex-mesh/protocol";
import { isLoopback, serveHttp, serveSocket } from "../../src/http/serve.js";
import { alice } from "../operations/open-hub-services.js";
import { openTestHttp } from "./open-test-http.js";

const headers = { authorization: "Bearer alice" };

async function openServer(options: Parameters<typeof openTestHttp>[0] = {}) {
  const http = await openTestHttp(options);
  const server = await serveHttp({ fetch: http.fetch, port: 0 });
  onTestFinished(() => server.close({ graceMs: 100 }));
  const base = `${server.url}/api/v1`;
  const nodeId = await http.addNode(alice);
  const taskId = await http.addTask(alice, await http.addSession(alice, [nodeId]));
  return { ...http, server, base, nodeId, taskId };
}

async function openSocketPath(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "cortex-http-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return join(directory, "control.sock");
}

function getOverSocket(socketPath: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath, path, headers }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    });
    request.on("error", reject);
    request.end();
  });
}

describe("serveHttp", () => {
  it("H7: a task is dispatched, followed live and read over a real port", async () => {
    const { base, taskId, nodeId, start, write, end } = await openServer();
    const response = await fetch(`${base}/tasks/${taskId}/events?after=0`, { headers });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    let text = "";
    const decoder = new TextDecoder();
    const reading = (async () => {
      for await (const chunk of response.body!) text += decoder.decode(chunk as Uint8Array, { stream: true });
    })();
    await start(taskId, nodeId);
    await write(taskId, "stdout", "one\n");
    // The event arrives while the task runs.
    await expect.poll(() => text).toContain('"text":"one\\n"');
    await end(taskId);
    await reading;
    expect(text.match(/^id: \d+$/gm)).toEqual(["id: 1", "id: 2", "id: 3", "id: 4", "id: 5"]);
    const part = await fetch(`${base}/tasks/${taskId}/output`, { headers: { ...headers, range: "bytes=1-2" } });
    expect([part.status, await part.text()]).toEqual([206, "ne"]);
  });

  it("H7: a body over the limit is answered with 413, also while it is still being sent", async () => {
    const { base } = await openServer();
    const body = randomBytes(4 * MAX_HTTP_JSON_BYTES);
    const response = await fetch(`${base}/sessions`, { method: "POST", headers, body });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ code: "TOO_LARGE" });
    expect((await fetch(`${base}/nodes`, { headers })).status).toBe(200);
  });

  it("H8: a client that disconnects ends what it followed, without a word on the console", async () => {
    const words = ["log", "info", "warn", "error"] as const;
    const spies = words.map((word) => vi.spyOn(console, word).mockImplementation(() => undefined));
    onTestFinished(() => spies.forEach((spy) => void spy.mockRestore()));
    let signal: AbortSignal | undefined;
    const { base, taskId } = await openServer({
      wrapTasks: (tasks) => ({
        ...tasks,
        events(caller, id, from) {
          signal = from.signal;
          return tasks.events(caller, id, from);
        },
      }),
    });
    const leaving = new AbortController();
    const response = await fetch(`${base}/tasks/${taskId}/events`, { headers, signal: leaving.signal });
    await response.body!.getReader().read();
    leaving.abort();
    await expect.poll(() => signal?.aborted).toBe(true);
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  });

  it("E2: output that cannot be read to its end cuts the connection: it never looks complete", async () => {
    const spy = vi.spyOn(console, "error").mockImplementation(() => undefined);
    onTestFinished(() => void spy.mockRestore());
    async function* read() {
      yield new Uint8Array(1000);
      throw new Error("the disk failed");
    }
    const { base, taskId, faults } = await openServer({
      wrapTasks: (tasks) => ({ ...tasks, output: () => Promise.resolve({ sizeBytes: 5000, read }) }),
    });
    const load = async () => (await fetch(`${base}/tasks/${taskId}/output`, { headers })).arrayBuffer();
    await expect(load()).rejects.toThrow();
    expect(faults).toHaveLength(1);
    expect(spy).not.toHaveBeenCalled();
  });

  it("T5: a reader that stops reading stops the source", async () => {
    let piecesRead = 0;
    const pieceBytes = 64 * 1024;
    async function* read() {
      for (; ; piecesRead += 1) yield new Uint8Array(pieceBytes);
    }
    const { base, taskId } = await openServer({
      wrapTasks: (tasks) => ({ ...tasks, output: () => Promise.resolve({ sizeBytes: 1e12, read }) }),
    });
    const leaving = new AbortController();
    const response = await fetch(`${base}/tasks/${taskId}/output`, { headers, signal: leaving.signal });
    await response.body!.getReader().read();
    let before = -1;
    // Buffers on the way fill up, then nothing moves.
    await expect
      .poll(
        () => {
          const isStill = piecesRead === before;
          before = piecesRead;
          return isStill;
        },
        { interval: 200 },
      )
      .toBe(true);
    expect(piecesRead * pieceBytes).toBeLessThan(64 * 1024 * 1024);
    leaving.abort();
  });

  it("H7: closing ends idle connections at once, and streams after their grace; closing twice is harmless", async () => {
    const { server, base } = await openServer();
    const response = await fetch(`${base}/events`, { headers });
    const reading = response.text().catch(() => "cut");
    await Promise.all([server.close({ graceMs: 50 }), server.close()]);
    await reading;
    await expect(fetch(`${base}/nodes`, { headers })).rejects.toThrow();
  });

  it("I5: plain HTTP beyond loopback needs an explicit word", async () => {
    const { fetch: handler } = await openTestHttp();
    await expect(serveHttp({ fetch: handler, host: "0.0.0.0", port: 0 })).rejects.toMatchObject({
      code: "POLICY_DENIED",
    });
    await expect(serveHttp({ fetch: handler, host: "[::]", port: 0 })).rejects.toMatchObject({ code: "POLICY_DENIED" });
    const server = await serveHttp({ fetch: handler, host: "0.0.0.0", port: 0, canLeaveLoopback: true });
    await server.close();
    expect(["127.0.0.1", "127.9.8.7", "::1", "localhost"].every(isLoopback)).toBe(true);
    expect(["127.0.0.1.example.org", "::", "10.0.0.1", "localhost.example.org", ""].some(isLoopback)).toBe(false);
  });

  it("H7: an address that is taken is an error, not a hub on another port", async () => {
    const { server } = await openServer();
    const { fetch: handler } = await openTestHttp();
    const port = Number(new URL(server.url).port);
    await expect(serveHttp({ fetch: handler, port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

describe("serveSocket", () => {
  it("H7: a control socket serves this user alone, and is not taken from a process that serves it", async () => {
    const { fetch: handler } = await openTestHttp();
    const path = await openSocketPath();
    const server = await serveSocket({ fetch: handler, path });
    onTestFinished(() => server.close());
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await getOverSocket(path, "/api/v1/nodes")).toBe(200);
    await expect(serveSocket({ fetch: handler, path })).rejects.toMatchObject({ code: "STATE_IN_USE" });
    expect(await getOverSocket(path, "/healthz")).toBe(200);
  });

  it("H7: a socket that a dead process left is replaced", async () => {
    const { fetch: handler } = await openTestHttp();
    const path = await openSocketPath();
    await writeFile(path, "");
    const server = await serveSocket({ fetch: handler, path });
    expect(await getOverSocket(path, "/healthz")).toBe(200);
    await server.close();
    const other = createTcpServer();
    await new Promise<void>((resolve) => other.listen(path, resolve));
    await expect(serveSocket({ fetch: handler, path })).rejects.toMatchObject({ code: "STATE_IN_USE" });
    await new Promise((resolve) => other.close(resolve));
  });
});
