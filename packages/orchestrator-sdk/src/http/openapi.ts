/**
 * The description of the API (OpenAPI 3.1), made from the operation table. Its schemas are the ones that requests are
 * checked against; nothing is written twice.
 */
import { z } from "zod";
import { CORTEX_VERSION } from "@cortex-mesh/protocol";
import type { Operation, OperationTable } from "../operations/operation.js";
import { feedEvent, taskEvent } from "../operations/resources/event.js";
import { createdInviteResource, inviteResource } from "../operations/resources/invite.js";
import { jsonObject } from "../operations/resources/json.js";
import { nodeResource } from "../operations/resources/node.js";
import { problemResource } from "../operations/resources/problem.js";
import { sessionResource } from "../operations/resources/session.js";
import { explanationResource, taskResource } from "../operations/resources/task.js";
import { IDEMPOTENCY_HEADER, LAST_EVENT_HEADER, PROBLEM_TYPE } from "../operations/wire.js";

/** Any part of the description. */
export type OpenApiPart = { readonly [key: string]: unknown };

/** A registry of its own, so that the names do not meet those of a program that the hub is part of. */
const names = z.registry<{ id?: string; type?: string }>();
names.add(taskResource, { id: "Task" });
names.add(explanationResource, { id: "TaskExplanation" });
names.add(taskEvent, { id: "TaskEvent" });
names.add(feedEvent, { id: "FeedEvent" });
names.add(nodeResource, { id: "Node" });
names.add(sessionResource, { id: "Session" });
names.add(inviteResource, { id: "Invite" });
names.add(createdInviteResource, { id: "CreatedInvite" });
names.add(problemResource, { id: "Problem" });
names.add(jsonObject, { type: "object" });

const DEFINITION = "#/$defs/";
const COMPONENT = "#/components/schemas/";

const PROBLEM = { $ref: "#/components/responses/Problem" };

/** What people should know of headers that are fields. */
const HEADER_NOTES: Readonly<Record<string, string>> = {
  [IDEMPOTENCY_HEADER]:
    "Makes repeats safe: the same key with the same request is the first answer again, with another request 409.",
  [LAST_EVENT_HEADER]: "Id of the last event that the reader has; counts more than `after`.",
};

/** The header of requests for a part of the bytes. */
const RANGE_PARAMETER = {
  in: "header",
  name: "range",
  required: false,
  schema: { type: "string" },
  description: "One range of bytes: `bytes=0-99`, `bytes=100-`, `bytes=-100`.",
};

type SchemaOf = (schema: z.ZodType, io: "input" | "output") => OpenApiPart;

/** Builds the description of a table. */
export function buildOpenApi(table: OperationTable): OpenApiPart {
  const schemas: Record<string, OpenApiPart> = {};
  const schemaOf: SchemaOf = (schema, io) => convert(schema, io, schemas);
  const problem = { schema: schemaOf(problemResource, "output") };
  const paths: Record<string, Record<string, OpenApiPart>> = {};
  for (const operation of Object.values(table)) {
    const description = describeOperation(operation, schemaOf);
    for (const [index, path] of operation.paths.entries()) {
      const operationId = index === 0 ? operation.name : `${operation.name}${index + 1}`;
      paths[path] = { ...paths[path], [operation.method.toLowerCase()]: { operationId, ...description } };
    }
  }
  return {
    openapi: "3.1.0",
    info: { title: "Cortex", version: CORTEX_VERSION, description: "The HTTP API of a Cortex hub." },
    servers: [{ url: "/api/v1" }],
    security: [{ bearer: [] }],
    paths,
    components: {
      schemas,
      responses: {
        Problem: {
          description: "A problem document (RFC 9457) with a stable `code`",
          content: { [PROBLEM_TYPE]: problem },
        },
      },
      securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
    },
  };
}

/** An input schema, taken apart. */
interface InputFields {
  readonly properties: Readonly<Record<string, OpenApiPart>>;
  readonly required: ReadonlySet<string>;
}

function describeOperation(operation: Operation, schemaOf: SchemaOf): OpenApiPart {
  const { places, summary, rule } = operation;
  const input = schemaOf(operation.input, "input") as {
    properties?: Record<string, OpenApiPart>;
    required?: readonly string[];
  };
  const fields: InputFields = { properties: input.properties ?? {}, required: new Set(input.required) };
  const parameters = [
    ...places.path.map((field) => describeParameter(fields, field, { in: "path", name: field })),
    ...places.query.map((field) => describeParameter(fields, field, { in: "query", name: field })),
    ...Object.entries(places.headers).map(([field, name]) => describeParameter(fields, field, { in: "header", name })),
    ...(operation.kind === "bytes" ? [RANGE_PARAMETER] : []),
  ];
  const requestBody = describeBody(operation, fields);
  return {
    summary,
    ...(rule === "owner" ? { description: "Answers 404 for what the caller does not own." } : {}),
    tags: [operation.paths[0].split("/")[1] ?? "api"],
    parameters,
    ...(requestBody === undefined ? {} : { requestBody }),
    responses: describeResponses(operation, schemaOf),
  };
}

/** Every answer: of a success, the refusals that every caller should be ready for, and any other as a problem too. */
function describeResponses(operation: Operation, schemaOf: SchemaOf): OpenApiPart {
  const { kind, rule, statuses, summary } = operation;
  const answer = { description: summary, ...describeAnswer(operation, schemaOf) };
  const none = { description: summary };
  return {
    ...Object.fromEntries(statuses.map((status) => [String(status), status === 204 ? none : answer])),
    ...(kind === "bytes"
      ? { 206: { ...answer, headers: { "content-range": { schema: { type: "string" } } } }, 416: PROBLEM }
      : {}),
    400: PROBLEM,
    401: PROBLEM,
    ...(rule === "owner" ? { 404: PROBLEM } : {}),
    default: PROBLEM,
  };
}

function describeParameter(
  { properties, required }: InputFields,
  field: string,
  place: { readonly in: "path" | "query" | "header"; readonly name: string },
): OpenApiPart {
  const note = place.in === "header" ? HEADER_NOTES[place.name] : undefined;
  return {
    ...place,
    required: place.in === "path" || required.has(field),
    schema: properties[field] ?? {},
    ...(note === undefined ? {} : { description: note }),
  };
}

function describeBody({ places }: Operation, fields: InputFields): OpenApiPart | undefined {
  if (places.bytes !== undefined) return { required: true, content: { "application/octet-stream": {} } };
  if (places.body.length === 0) return undefined;
  const required = places.body.filter((field) => fields.required.has(field));
  const schema = {
    type: "object",
    properties: Object.fromEntries(places.body.map((field) => [field, fields.properties[field] ?? {}])),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
  };
  return { required: required.length > 0, content: { "application/json": { schema } } };
}

function describeAnswer(operation: Operation, schemaOf: SchemaOf): OpenApiPart {
  if (operation.kind === "bytes") return { content: { "application/octet-stream": {} } };
  const schema = schemaOf(operation.output, "output");
  // OpenAPI 3.1 has no word for the schema of an event stream; this is the schema of one event.
  return { content: { [operation.kind === "events" ? "text/event-stream" : "application/json"]: { schema } } };
}

/** Converts one schema; the named ones in it move to `schemas`. */
function convert(schema: z.ZodType, io: "input" | "output", schemas: Record<string, OpenApiPart>): OpenApiPart {
  const converted = z.toJSONSchema(schema, { io, metadata: names, unrepresentable: "any" }) as OpenApiPart;
  const { $schema: _dialect, $defs: definitions, ...rest } = converted;
  for (const [name, definition] of Object.entries((definitions ?? {}) as Record<string, OpenApiPart>)) {
    schemas[name] = withoutId(definition);
  }
  // A named schema comes as a reference to its own definition.
  return relink(rest) as OpenApiPart;
}

function withoutId({ id: _id, ...rest }: OpenApiPart): OpenApiPart {
  return relink(rest) as OpenApiPart;
}

/** Points references at the components. */
function relink(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(relink);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, field]): [string, unknown] => {
      if (key === "$ref" && typeof field === "string") return [key, field.replace(DEFINITION, COMPONENT)];
      return [key, relink(field)];
    }),
  );
}
