import { describe, expect, it } from "vitest";
import { parseRange } from "../../src/http/range.js";
import { alice } from "../operations/open-hub-services.js";
import { openTestHttp } from "./open-test-http.js";

/** Resolves when everything that was ready to run has run. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("parseRange", () => {
  it.each([
    ["bytes=0-0", 10, { start: 0, end: 1 }],
    ["bytes=2-5", 10, { start: 2, end: 6 }],
    ["bytes=2-", 10, { start: 2, end: 10 }],
    ["bytes=-3", 10, { start: 7, end: 10 }],
    ["bytes=-30", 10, { start: 0, end: 10 }],
    ["bytes=8-99", 10, { start: 8, end: 10 }],
    ["bytes=10-", 10, "unsatisfiable"],
    ["bytes=-0", 10, "unsatisfiable"],
    ["bytes=0-", 0, "unsatisfiable"],
    ["bytes=-5", 0, "unsatisfiable"],
    ["bytes=5-2", 10, undefined],
    ["bytes=-", 10, undefined],
    ["bytes=0-1,3-4", 10, undefined],
    ["bytes=0x1-2", 10, undefined],
    ["items=0-1", 10, undefined],
    [null, 10, undefined],
  ] as const)("H7: %j of %d bytes is %j", (header, sizeBytes, range) => {
    expect(parseRange(header, sizeBytes)).toEqual(range);
  });
});

describe("task output over HTTP", () => {
  it("E2: output is exact, whole and in ranges, stream by stream", async () => {
    const { call, addNode, addSession, addTask, start, write } = await openTestHttp();
    const nodeId = await addNode(alice);
    const taskId = await addTask(alice, await addSession(alice, [nodeId]));
    await start(taskId, nodeId);
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    await write(taskId, "stdout", bytes.subarray(0, 100));
    await write(taskId, "stdout", bytes.subarray(100));
    await write(taskId, "stderr", "err\n");
    const read = async (query: string, headers: Record<string, string> = {}) => {
      const response = await call("GET", `/tasks/${taskId}/output${query}`, { headers });
      return { response, body: new Uint8Array(await response.arrayBuffer()) };
    };
    const whole = await read("?stream=stdout");
    expect(whole.body).toEqual(bytes);
    expect(whole.response.status).toBe(200);
    expect(whole.response.headers.get("accept-ranges")).toBe("bytes");
    expect(whole.response.headers.get("content-type")).toBe("application/octet-stream");
    expect(whole.response.headers.get("content-length")).toBe("256");
    expect((await read("")).body).toEqual(bytes);
    expect(Buffer.from((await read("?stream=stderr")).body).toString()).toBe("err\n");

    const part = await read("?stream=stdout", { range: "bytes=90-109" });
    expect(part.response.status).toBe(206);
    expect(part.response.headers.get("content-range")).toBe("bytes 90-109/256");
    expect(part.body).toEqual(bytes.subarray(90, 110));
    expect((await read("", { range: "bytes=-6" })).body).toEqual(bytes.subarray(250));
    expect((await read("", { range: "bytes=0-1", "if-range": '"x"' })).response.status).toBe(200);

    const outside = await read("", { range: "bytes=256-" });
    expect(outside.response.status).toBe(416);
    expect(outside.response.headers.get("content-range")).toBe("bytes */256");
  });

  it("E2: an unknown stream is 400, and a task without output has none", async () => {
    const { call, addNode, addSession, addTask } = await openTestHttp();
    const taskId = await addTask(alice, await addSession(alice, [await addNode(alice)]));
    expect((await call("GET", `/tasks/${taskId}/output?stream=stdin`)).status).toBe(400);
    const empty = await call("GET", `/tasks/${taskId}/output`);
    expect([empty.status, await empty.text()]).toEqual([200, ""]);
  });

  it("T5: output is read as the client reads: nothing ahead, and no more when the client leaves", async () => {
    const pieceBytes = 1000;
    let piecesRead = 0;
    let isEnded = false;
    async function* read() {
      try {
        for (; ; piecesRead += 1) yield new Uint8Array(pieceBytes);
      } finally {
        isEnded = true;
      }
    }
    const { call, addNode, addSession, addTask } = await openTestHttp({
      wrapTasks: (tasks) => ({ ...tasks, output: () => Promise.resolve({ sizeBytes: 1e9, read }) }),
    });
    const taskId = await addTask(alice, await addSession(alice, [await addNode(alice)]));
    const response = await call("GET", `/tasks/${taskId}/output`);
    const reader = response.body!.getReader();
    for (let count = 0; count < 3; count += 1) await reader.read();
    await settled();
    expect(piecesRead).toBeLessThanOrEqual(3);
    await reader.cancel();
    expect(isEnded).toBe(true);
  });
});
