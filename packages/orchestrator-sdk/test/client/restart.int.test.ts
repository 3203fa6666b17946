import { describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../../src/client/connect.js";
import { createHttpHandler, type FetchHandler } from "../../src/http/handler.js";
import { type HttpServer, serveHttp } from "../../src/http/serve.js";
import { operations } from "../../src/operations/table.js";
import { authenticate, openTestHttp } from "../http/open-test-http.js";
import { alice } from "../operations/open-hub-services.js";

/** A hub whose server can be cut off and come back at the same address. */
async function openRestartable() {
  const http = await openTestHttp();
  let server: HttpServer | undefined;
  let closing = new AbortController();
  const port = { number: 0 };
  const start = async (): Promise<string> => {
    closing = new AbortController();
    const options = { table: operations, services: http.services, authenticate, closing: closing.signal };
    const fetch: FetchHandler = createHttpHandler(options);
    server = await serveHttp({ fetch, port: port.number });
    port.number = Number(new URL(server.url).port);
    return server.url;
  };
  /** Ends streams first when it is polite, else cuts them where they are. */
  const stop = async (isPolite: boolean): Promise<void> => {
    if (isPolite) closing.abort();
    await server?.close({ graceMs: isPolite ? 500 : 0 });
  };
  onTestFinished(() => stop(false));
  return { http, start, stop };
}

describe("a client of a hub that restarts", () => {
  it("H8: events come once, in order and without a gap over five restarts, polite and not", async () => {
    const { start, stop, http } = await openRestartable();
    const url = await start();
    const nodeId = await http.addNode(alice);
    const taskId = await http.addTask(alice, await http.addSession(alice, [nodeId]));
    const texts: string[] = [];
    const ids: string[] = [];
    const following = (async () => {
      for await (const { id, data } of connect(url, { token: "alice" }).followTask({ taskId })) {
        ids.push(id);
        if (data.text !== undefined) texts.push(data.text);
      }
    })();
    await http.start(taskId, nodeId);
    const expected: string[] = [];
    const print = async (text: string): Promise<void> => {
      expected.push(text);
      await http.write(taskId, "stdout", text);
    };
    for (let round = 0; round < 5; round += 1) {
      await print(`up ${round}`);
      await expect.poll(() => texts.length, { timeout: 10_000 }).toBe(expected.length);
      await print(`going down ${round}`);
      await stop(round % 2 === 0);
      await print(`down ${round}`);
      await start();
    }
    await http.end(taskId);
    await following;
    expect(texts).toEqual(expected);
    expect(ids).toEqual(Array.from({ length: ids.length }, (_value, index) => String(index + 1)));
  });

  it("P4: a call that reads waits for a hub that is just away", async () => {
    const { start, stop } = await openRestartable();
    const hub = connect(await start(), { token: "alice" });
    await stop(false);
    const calling = hub.listNodes();
    await start();
    expect(await calling).toEqual({ items: [], nextCursor: null });
  });
});
