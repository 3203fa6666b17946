import { describe, expect, it } from "vitest";
import { median, quantile, spreadRatio } from "../src/statistics.js";

describe("figures out of samples", () => {
  it("the median is the middle sample, or halfway between the two in the middle", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([7])).toBe(7);
  });

  it("quantiles lie between samples and end at the smallest and the largest", () => {
    const samples = [40, 10, 30, 20, 50];
    expect([0, 0.25, 0.9, 1].map((ratio) => quantile(samples, ratio))).toEqual([10, 20, 46, 50]);
    expect(samples).toEqual([40, 10, 30, 20, 50]);
  });

  it("the spread is the distance of the quartiles as a part of the median", () => {
    expect(spreadRatio([10, 20, 30, 40, 50])).toBeCloseTo(20 / 30);
    expect(spreadRatio([5, 5, 5])).toBe(0);
  });

  it("no samples, or a ratio that is none, are refused", () => {
    expect(() => median([])).toThrow(RangeError);
    expect(() => quantile([1], 1.1)).toThrow(RangeError);
    expect(() => quantile([1], Number.NaN)).toThrow(RangeError);
  });
});
