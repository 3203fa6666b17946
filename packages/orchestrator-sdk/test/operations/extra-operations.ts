/** Operations that are added to the table: nothing but their definition says anything about them. */
import { z } from "zod";
import { byteContent, defineOperation } from "../../src/operations/operation.js";

export const countNodes = defineOperation({
  name: "countNodes",
  method: "GET",
  path: "/nodes/count",
  summary: "Count the caller's nodes",
  input: z.object({ atMost: z.int().min(1).default(100) }),
  output: z.strictObject({ count: z.int() }),
  kind: "json",
  rule: "user",
  run: async ({ caller, services }, { atMost }) => ({
    count: (await services.nodes.list(caller, { limit: atMost })).length,
  }),
});
const greet = defineOperation({
  name: "greet",
  method: "PUT",
  path: "/greetings/{name}",
  summary: "Say hello",
  input: z.object({
    name: z.string(),
    words: z.array(z.string()),
    isLoud: z.boolean().optional(),
    key: z.string().optional(),
  }),
  headers: { key: "x-greeting-key" },
  output: z.strictObject({ text: z.string() }),
  kind: "json",
  status: 201,
  rule: "user",
  run: async (_context, { name, words, isLoud, key }) => ({ text: `${words.join(" ")} ${name} ${isLoud} ${key}` }),
});
const countDown = defineOperation({
  name: "countDown",
  method: "GET",
  path: "/countdowns/{from}",
  summary: "Count down",
  input: z.object({ from: z.int().min(0) }),
  output: z.strictObject({ id: z.string(), event: z.literal("tick"), data: z.strictObject({ left: z.int() }) }),
  kind: "events",
  rule: "user",
  run: async (_context, { from }) => ({ batches: ticks(from) }),
});
const repeatText = defineOperation({
  name: "repeatText",
  method: "GET",
  path: "/texts/{text}",
  summary: "Bytes of a text",
  input: z.object({ text: z.string() }),
  output: byteContent,
  kind: "bytes",
  rule: "user",
  run: async (_context, { text }) => ({
    sizeBytes: Buffer.byteLength(text),
    async *read(start: number, end: number) {
      yield Buffer.from(text).subarray(start, end);
    },
  }),
});
const sumBytes = defineOperation({
  name: "sumBytes",
  method: "POST",
  path: "/sums",
  summary: "Add up bytes",
  input: z.object({ start: z.int().default(0), data: z.custom<AsyncIterable<Uint8Array>>() }),
  bodyField: "data",
  output: z.strictObject({ sum: z.int() }),
  kind: "json",
  rule: "user",
  async run(_context, { start, data }) {
    let sum = start;
    for await (const chunk of data) for (const byte of chunk) sum += byte;
    return { sum };
  },
});
/** Operations that only the tests have, of every kind and with fields in every place. */
export const extra = { countNodes, greet, countDown, repeatText, sumBytes };

async function* ticks(from: number) {
  for (let left = from; left >= 0; left -= 1) yield [{ id: String(left), event: "tick" as const, data: { left } }];
}
