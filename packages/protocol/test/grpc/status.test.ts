import { Metadata, status as Status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { CortexError } from "../../src/errors.js";
import { fromServiceError, toServiceError } from "../../src/grpc/status.js";

describe("status", () => {
  it("T2: what is not a Cortex error travels as INTERNAL and says nothing of its own", () => {
    const sent = toServiceError(new Error("ENOENT: /root/secret"));
    expect([sent.code, sent.details, sent.metadata.get("cortex-code")]).toEqual([
      Status.INTERNAL,
      "internal error",
      ["INTERNAL"],
    ]);
    expect(JSON.stringify(sent.metadata.toJSON())).not.toContain("secret");
  });

  it("T2: an INTERNAL error hides message and details", () => {
    const sent = toServiceError(new CortexError("INTERNAL", "row 7 of /root/db", { details: { path: "/root/db" } }));
    expect(sent.details).toBe("internal error");
    expect(fromServiceError(sent).details).toEqual({});
  });

  it("T3: code, message and details arrive as they were sent", () => {
    const details = { min: 1, max: 2, peer: "0.2.0", isOld: true };
    const error = fromServiceError(
      toServiceError(new CortexError("VERSION_UNSUPPORTED", "no common version – 1", { details })),
    );
    expect([error.code, error.message, error.details]).toEqual([
      "VERSION_UNSUPPORTED",
      "no common version – 1",
      details,
    ]);
  });

  it("T5: a message is cut to what fits a header and has no lone surrogate", () => {
    const sent = toServiceError(new CortexError("BAD_REQUEST", `${"x".repeat(1023)}\u{1F600}`));
    expect(sent.details).toHaveLength(1024);
    expect(() => encodeURI(sent.details)).not.toThrow();
  });

  it("T5: an unknown code and unreadable details of a peer fall back to the status", () => {
    const metadata = new Metadata();
    metadata.set("cortex-code", "constructor");
    metadata.set("cortex-details-bin", Buffer.from("{broken"));
    const error = fromServiceError({ code: Status.UNAUTHENTICATED, details: "no", metadata });
    expect([error.code, error.details]).toEqual(["UNAUTHENTICATED", {}]);
  });

  it.each([
    [Status.RESOURCE_EXHAUSTED, "Received message larger than max (5 vs 4)", "TOO_LARGE"],
    [Status.RESOURCE_EXHAUSTED, "Bandwidth exhausted or memory limit exceeded", "QUOTA_EXCEEDED"],
    [Status.INTERNAL, "Received RST_STREAM with code 2 triggered by internal client error: read", "UNAVAILABLE"],
    [Status.INTERNAL, "boom", "INTERNAL"],
    [Status.UNKNOWN, "Unknown error", "INTERNAL"],
    [Status.UNAVAILABLE, "Connection dropped", "UNAVAILABLE"],
    [Status.DEADLINE_EXCEEDED, "Deadline exceeded", "TIMED_OUT"],
    [Status.UNIMPLEMENTED, "no method", "NOT_SUPPORTED"],
  ])('T3: a bare status %i "%s" reads as %s', (code, details, expected) => {
    expect(fromServiceError({ code, details, metadata: new Metadata() }).code).toBe(expected);
  });
});
