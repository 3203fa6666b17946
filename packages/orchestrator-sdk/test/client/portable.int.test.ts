import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createContext, Script } from "node:vm";
import { build } from "tsup";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serveHttp } from "../../src/http/serve.js";
import { openTestHttp } from "../http/open-test-http.js";
import { alice } from "../operations/open-hub-services.js";

const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const CACHE = pathOf("../../node_modules/.cache/");
/** Where bundlers find the entry of the other package, as its `exports` say. */
const PORTABLE = pathOf("../../../protocol/src/portable/index.ts");

interface Metafile {
  readonly inputs: Readonly<Record<string, object>>;
  readonly outputs: Readonly<Record<string, { readonly imports: readonly { readonly path: string }[] }>>;
}

/** What a browser and a worker have and the client may use; neither `process`, `Buffer` nor `require` is among them. */
const WEB = {
  fetch,
  Request,
  Response,
  Headers,
  URL,
  URLSearchParams,
  ReadableStream,
  TextDecoder,
  TextEncoder,
  AbortController,
  AbortSignal,
  DOMException,
  Uint8Array,
  performance,
  crypto,
  setTimeout,
  clearTimeout,
};

let directory = "";
let metafile: Metafile;

beforeAll(async () => {
  mkdirSync(CACHE, { recursive: true });
  directory = mkdtempSync(join(CACHE, "portable-"));
  await build({
    entry: { client: pathOf("../../src/client/index.ts") },
    outDir: directory,
    config: false,
    format: ["iife"],
    globalName: "cortex",
    platform: "browser",
    target: "es2022",
    silent: true,
    metafile: true,
    noExternal: [/./],
    esbuildOptions: (options) => {
      options.alias = { "@cortex-mesh/protocol/portable": PORTABLE };
    },
  });
  metafile = JSON.parse(readFileSync(join(directory, "metafile-iife.json"), "utf8")) as Metafile;
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("the client entry", () => {
  it("P4: reaches no built-in of Node and nothing of the server: only schemas, descriptions and fetch", () => {
    const outside = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
    expect(outside).toEqual([]);
    const inputs = Object.keys(metafile.inputs);
    expect(inputs.filter((path) => /\(disabled\)|^node:/.test(path))).toEqual([]);
    const packages = new Set(inputs.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []));
    expect([...packages].sort()).toEqual(["eventsource-parser", "zod"]);
    const rooms = new Set(
      inputs.flatMap(
        (path) =>
          /orchestrator-sdk\/src\/([^/]+)|^src\/([^/]+)/
            .exec(path)
            ?.slice(1)
            .find((room) => room !== undefined) ?? [],
      ),
    );
    expect([...rooms].sort()).toEqual(["client", "nodes", "operations", "tasks"]);
  });

  it("P4: loads and works where there is nothing but the web's own globals", async () => {
    const http = await openTestHttp();
    const server = await serveHttp({ fetch: http.fetch, port: 0 });
    try {
      const nodeId = await http.addNode(alice);
      const taskId = await http.addTask(alice, await http.addSession(alice, [nodeId]));
      await http.start(taskId, nodeId);
      await http.write(taskId, "stdout", "hello");
      await http.end(taskId);
      const context = createContext({ ...WEB, url: server.url, taskId });
      const source = `${readFileSync(join(directory, "client.global.js"), "utf8")}
        (async () => {
          const hub = cortex.connect(url, { token: "alice" });
          const { state } = await hub.getTask({ taskId });
          const events = [];
          for await (const { id } of hub.followTask({ taskId })) events.push(id);
          const { sizeBytes } = await hub.readTaskOutput({ taskId });
          const code = await hub.getTask({ taskId: "task_x" }).catch((error) => error.code);
          return JSON.stringify({ state, events, sizeBytes, code, globals: [typeof process, typeof Buffer, typeof require] });
        })()`;
      const result = (await new Script(source).runInContext(context)) as string;
      expect(JSON.parse(result)).toEqual({
        state: "succeeded",
        events: ["1", "2", "3", "4", "5"],
        sizeBytes: 5,
        code: "NOT_FOUND",
        globals: ["undefined", "undefined", "undefined"],
      });
    } finally {
      await server.close({ graceMs: 100 });
    }
  });
});
