import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { AgentOrchestrator, Enrollment, IssueTokenRequestSchema } from "../../src/gen/index.js";
import { methodsOf, streamDefinition, unaryDefinition } from "../../src/grpc/service-definition.js";

describe("service definition", () => {
  it("T3: every method of both services is unary or a stream of frames that links carry", () => {
    for (const service of [Enrollment, AgentOrchestrator]) {
      for (const method of methodsOf(service).values()) {
        const define = method.methodKind === "unary" ? unaryDefinition : streamDefinition;
        expect(define(method).path).toBe(`/${service.typeName}/${method.name}`);
      }
    }
  });

  it("T3: a unary message keeps 64-bit numbers and is serialized to a Buffer", () => {
    const { requestSerialize, requestDeserialize } = unaryDefinition(Enrollment.method.issueToken);
    const request = create(IssueTokenRequestSchema, { nodeId: "n", nonce: Uint8Array.of(1), epoch: 2n ** 64n - 1n });
    const bytes = requestSerialize(request);
    expect(Buffer.isBuffer(bytes)).toBe(true);
    expect(requestDeserialize(bytes)).toEqual(request);
  });

  it("T3: a stream is never parsed: bytes that are no batch arrive as a reason, not as an exception", () => {
    const { requestDeserialize } = streamDefinition(AgentOrchestrator.method.taskStream);
    expect(requestDeserialize(Buffer.from([0x0a, 0x01, 0xff]))).toEqual([Uint8Array.of(0xff)]);
    expect(requestDeserialize(Buffer.from([0x0a, 0x05]))).toMatchObject({ code: "BAD_REQUEST" });
  });

  it("T3: a method of the other kind, or a stream of other messages, is refused when it is described", () => {
    expect(() => unaryDefinition(AgentOrchestrator.method.taskStream)).toThrow(TypeError);
    expect(() => streamDefinition(Enrollment.method.issueToken)).toThrow(TypeError);
    const { taskStream } = AgentOrchestrator.method;
    const other = { ...taskStream, input: IssueTokenRequestSchema } as unknown as typeof taskStream;
    expect(() => streamDefinition(other)).toThrow(/repeated X frames/);
  });
});
