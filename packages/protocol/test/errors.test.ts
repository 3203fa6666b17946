import { describe, expect, it } from "vitest";
import { CortexError, isCortexError, isCortexErrorCode, toCortexError } from "../src/errors.js";

describe("CortexError", () => {
  it("P4: a code gives its HTTP status, its gRPC status and whether to try again", () => {
    const error = new CortexError("UNAVAILABLE", "the hub is closing", { details: { graceMs: 5 } });
    expect(error).toMatchObject({
      name: "CortexError",
      httpStatus: 503,
      grpcStatus: 14,
      retryable: true,
      details: { graceMs: 5 },
    });
    expect(new CortexError("NOT_FOUND", "no")).toMatchObject({
      httpStatus: 404,
      grpcStatus: 5,
      retryable: false,
      details: {},
    });
  });

  it.each([
    ["BAD_REQUEST", 400],
    ["PATH_OUTSIDE_WORKSPACE", 400],
    ["BAD_NAME", 400],
    ["UNAUTHENTICATED", 401],
    ["POLICY_DENIED", 403],
    ["NOT_FOUND", 404],
    ["IDEMPOTENCY_CONFLICT", 409],
    ["NODE_REVOKED", 409],
    ["NODE_NOT_ATTACHED", 409],
    ["ALREADY_ENDED", 409],
    ["LOCKED", 409],
    ["PAST_RETENTION", 410],
    ["PRECONDITION_FAILED", 412],
    ["TOO_LARGE", 413],
    ["QUOTA_EXCEEDED", 429],
    ["NOT_SUPPORTED", 501],
    ["UNAVAILABLE", 503],
    ["STORAGE_FULL", 507],
  ] as const)("P4: %s travels as HTTP %i", (code, status) => {
    expect(new CortexError(code, "x").httpStatus).toBe(status);
  });

  it("P1: an error of another copy of the package is recognised", () => {
    const foreign = Object.defineProperty(new Error("x"), Symbol.for("cortex.error"), { value: true });
    expect(isCortexError(foreign)).toBe(true);
    expect([new Error("x"), null, undefined, "x", {}].some(isCortexError)).toBe(false);
  });

  it("P4: only published codes are codes", () => {
    expect(isCortexErrorCode("LOCKED")).toBe(true);
    expect(["locked", "toString", "__proto__", ""].some(isCortexErrorCode)).toBe(false);
  });

  it("P4: anything caught becomes a CortexError that keeps its cause", () => {
    const known = new CortexError("LOCKED", "x");
    expect(toCortexError(known)).toBe(known);
    const fault = new TypeError("boom");
    expect(toCortexError(fault)).toMatchObject({ code: "INTERNAL", message: "boom", cause: fault });
    expect(toCortexError("text", "UNAVAILABLE")).toMatchObject({ code: "UNAVAILABLE", message: "text", cause: "text" });
  });
});
