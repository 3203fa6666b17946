import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Validator } from "@seriousme/openapi-schema-validator";
import openapiTS, { astToString, type OpenAPI3 } from "openapi-typescript";
import { describe, expect, it, onTestFinished } from "vitest";
import { systemIds } from "@cortex-mesh/protocol";
import { createHub } from "../../src/hub.js";
import { nodeRecord } from "../support/task-record.js";

const run = promisify(execFile);
const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
/** Inside the package, so that the program finds its dependencies. */
const CACHE = pathOf("../../node_modules/.cache/");
const COMPILER = pathOf("../../../../node_modules/typescript/bin/tsc");
/** As strict as a careful user's. */
const COMPILER_OPTIONS = {
  target: "es2022",
  module: "nodenext",
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  skipLibCheck: true,
  types: ["node"],
};

async function openHub() {
  const data = await mkdtemp(join(tmpdir(), "cortex-generated-"));
  onTestFinished(() => rm(data, { recursive: true, force: true }));
  const hub = await createHub({
    data,
    http: 0,
    authenticate: (request) =>
      request.headers.get("authorization") === "Bearer alice" ? { userId: "alice" } : undefined,
  });
  onTestFinished(() => hub.close());
  const nodeId = systemIds.next("node");
  await hub.store.transaction((tx) => tx.nodes.insert(nodeRecord({ nodeId })));
  const { sessionId } = await hub.as("alice").createSession({ nodes: [{ nodeId }] });
  const response = await fetch(`${hub.httpUrl}/api/v1/openapi.json`);
  return { hub, nodeId, sessionId, description: (await response.json()) as Record<string, unknown> };
}

describe("the description of the API", () => {
  it("P4: is valid OpenAPI 3.1", async () => {
    const { description } = await openHub();
    const validator = new Validator();
    const { valid, errors } = await validator.validate(description);
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
    expect(validator.version).toBe("3.1");
    const broken = { ...description, paths: { "/x": { get: { responses: 7 } } } };
    expect((await new Validator().validate(broken)).valid).toBe(false);
  });

  it("P4: is enough for a generated client: its types compile, and it invites, lists, dispatches, reads and understands errors", async () => {
    const { hub, nodeId, sessionId, description } = await openHub();
    await mkdir(CACHE, { recursive: true });
    const directory = await mkdtemp(join(CACHE, "generated-"));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    const types = astToString(await openapiTS(description as unknown as OpenAPI3));
    await writeFile(join(directory, "hub-api.ts"), types);
    await copyFile(pathOf("./generated-program.ts.txt"), join(directory, "program.ts"));
    await writeFile(join(directory, "package.json"), '{"type":"module"}');
    await writeFile(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions: COMPILER_OPTIONS }));
    const compiled = run(process.execPath, [COMPILER, "-p", directory]);
    expect(await compiled.catch((error: { stdout: string }) => error)).toMatchObject({ stdout: "" });
    const { stdout } = await run(process.execPath, [join(directory, "program.js"), hub.httpUrl!, "alice", sessionId]);
    expect(JSON.parse(stdout)).toEqual({
      invite: "cxi_",
      nodes: [{ nodeId, status: "offline" }],
      dispatch: 202,
      task: { state: "queued", effect: "once", finishedAt: null },
      problem: { code: "NOT_FOUND", status: 404 },
      output: 200,
      events: "text/event-stream",
    });
  });
});
