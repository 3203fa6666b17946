import { expect, it } from "vitest";
import { isPublishable, readArguments } from "../src/arguments.js";

const KNOWN = ["one", "two"];

it("rows are named one by one, and none means all", () => {
  expect(readArguments([], KNOWN)).toEqual({ rows: [], isQuick: false });
  expect(readArguments(["--row", "two", "--quick", "--row", "one"], KNOWN)).toEqual({
    rows: ["two", "one"],
    isQuick: true,
  });
});

it("an unknown row is an error that names it, an unknown option too", () => {
  expect(() => readArguments(["--row", "three"], KNOWN)).toThrow(/"three".*one, two/);
  expect(() => readArguments(["--rows"], KNOWN)).toThrow(/--rows/);
});

it("only a run of all rows at full size is published", () => {
  expect(isPublishable({ rows: [], isQuick: false })).toBe(true);
  expect(isPublishable({ rows: [], isQuick: true })).toBe(false);
  expect(isPublishable({ rows: ["one"], isQuick: false })).toBe(false);
});
