import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson, MAX_JSON_DEPTH } from "../src/canonical-json.js";
import { catchCortexError } from "./signing/catch-cortex-error.js";

describe("canonicalJson", () => {
  it("E5: sorts members by UTF-16 code units and writes no white space", () => {
    const value = { "€": 1, "\r": 2, "\ufb33": 3, "1": 4, "😀": 5, "\u0080": 6, ö: 7 };
    expect(canonicalJson(value)).toBe('{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}');
  });

  it("E5: writes numbers and strings as RFC 8785 does", () => {
    expect(canonicalJson([333333333.33333329, 1e30, 4.5, 2e-3, 1e-27, -0])).toBe(
      "[333333333.3333333,1e+30,4.5,0.002,1e-27,0]",
    );
    expect(canonicalJson('€$\u000f\nA\'B"\\\\"/')).toBe('"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"');
  });

  it("E5: two values that JSON cannot tell apart have one text, whatever the order of their members", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(JSON.parse(JSON.stringify(value)))).toBe(text);
        expect(canonicalJson(reversed(value))).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 100 },
    );
  });

  it("E5: leaves out undefined members, and a member named __proto__ is a member", () => {
    expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}');
    expect(canonicalJson(JSON.parse('{"__proto__":1}'))).toBe('{"__proto__":1}');
  });

  it.each<[string, unknown]>([
    ["a.0", { a: [Number.NaN] }],
    ["a", { a: Number.POSITIVE_INFINITY }],
    ["a", { a: 1n }],
    ["a", { a: new Date(0) }],
    ["a", { a: () => 1 }],
    ["0", [undefined]],
    ["a", { a: "\ud800" }],
    ["the value", undefined],
  ])("E5: names %s when JSON cannot carry it", (path, value) => {
    const error = catchCortexError(() => canonicalJson(value));
    expect(error?.code).toBe("BAD_REQUEST");
    expect(error?.message.startsWith(`${path}: `)).toBe(true);
  });

  it("E5: refuses nesting that would end the stack", () => {
    const nest = (depth: number) => JSON.parse(`${"[".repeat(depth)}${"]".repeat(depth)}`) as unknown;
    expect(canonicalJson(nest(MAX_JSON_DEPTH))).toHaveLength(2 * MAX_JSON_DEPTH);
    expect(catchCortexError(() => canonicalJson(nest(100_000)))?.code).toBe("BAD_REQUEST");
  });
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).reverse();
  const copy: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [key, member] of entries) copy[key] = reversed(member);
  return copy;
}
