import { expect, it } from "vitest";
import { sampleInTurn } from "../src/sampling.js";

it("floor and subject are sampled in turn, the first of a round changes, and warm-up is left out", async () => {
  const calls: string[] = [];
  let count = 0;
  const sample = (name: string) => () => {
    calls.push(name);
    count += 1;
    return Promise.resolve(count);
  };
  const samples = await sampleInTurn({ floor: sample("f"), subject: sample("s") }, { warmUp: 1, rounds: 2 });
  expect(calls.join("")).toBe("sffssf");
  expect(samples).toEqual({ floor: [3, 6], subject: [4, 5] });
});
