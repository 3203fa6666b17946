import { describe, expect, it } from "vitest";
import { buildOpenApi } from "../../src/http/openapi.js";
import type { Operation } from "../../src/operations/operation.js";
import { operations } from "../../src/operations/table.js";
import { openTestHttp } from "./open-test-http.js";

interface Described {
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: { properties: object } }>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
}

interface Document {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

const document = JSON.parse(JSON.stringify(buildOpenApi(operations))) as Document;
const all: readonly Operation[] = Object.values(operations);

describe("buildOpenApi", () => {
  it.each(all.map((operation) => [operation.name, operation] as const))(
    "P4: %s is described: method, path, fields, answers",
    (_name, operation) => {
      for (const path of operation.paths) {
        const described = document.paths[path]?.[operation.method.toLowerCase()];
        expect(described).toBeDefined();
        const named = described!.parameters.map((parameter) => `${parameter.in} ${parameter.name}`).sort();
        const { places } = operation;
        const expected = [
          ...places.path.map((field) => `path ${field}`),
          ...places.query.map((field) => `query ${field}`),
          ...Object.values(places.headers).map((header) => `header ${header}`),
          ...(operation.kind === "bytes" ? ["header range"] : []),
        ];
        expect(named).toEqual(expected.sort());
        const body = described!.requestBody?.content["application/json"]?.schema;
        expect(Object.keys(body?.properties ?? {}).sort()).toEqual([...places.body].sort());
        for (const status of operation.statuses) expect(described!.responses[String(status)]).toBeDefined();
      }
    },
  );

  it("P4: the document is OpenAPI 3.1: path fields are declared, ids are unique, references lead somewhere", () => {
    expect(document.openapi).toBe("3.1.0");
    expect(document.info).toMatchObject({ title: "Cortex" });
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.values(methods).map((operation) => ({ path, operation })),
    );
    const ids = described.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { path, operation } of described) {
      const declared = operation.parameters.filter((parameter) => parameter.in === "path");
      expect(declared.map(({ name }) => `{${name}}`)).toEqual(path.match(/\{[A-Za-z]+\}/g) ?? []);
      expect(declared.every(({ required }) => required)).toBe(true);
    }
    const references = JSON.stringify(document).match(/"#\/[^"]+"/g) ?? [];
    expect(references.length).toBeGreaterThan(20);
    for (const reference of references) {
      const steps = (JSON.parse(reference) as string).slice(2).split("/");
      const target = steps.reduce<unknown>(
        (part, step) => (part as Record<string, unknown> | undefined)?.[step],
        document,
      );
      expect(target, reference).toBeDefined();
    }
  });

  it("P4: resources have names, and dispatch is described to its depth", () => {
    const names = [
      "CreatedInvite",
      "FeedEvent",
      "Invite",
      "Node",
      "Problem",
      "Session",
      "Task",
      "TaskEvent",
      "TaskExplanation",
    ];
    expect(Object.keys(document.components.schemas).sort()).toEqual(names);
    expect(JSON.stringify(document.paths["/sessions/{sessionId}/dispatch"])).toContain("cpuRatio");
    expect(document.components.schemas["Task"]).toMatchObject({ type: "object", additionalProperties: false });
    expect(JSON.stringify(document.components)).not.toContain('"id":"Task"');
  });

  it("P4: the description is served to everybody at both bases", async () => {
    const { call } = await openTestHttp();
    for (const base of ["/api/v1", "/api"]) {
      const response = await call("GET", `${base}/openapi.json`, { token: null });
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual(document);
    }
  });
});
