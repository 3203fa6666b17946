import { describe, expect, it } from "vitest";
import { CortexError } from "@cortex-mesh/protocol";
import { createLogger } from "../src/logger.js";

function open(isTerminal: boolean) {
  let text = "";
  const write = (more: string): void => {
    text += more;
  };
  return { logger: createLogger("trace", { isTerminal, write }), text: () => text };
}

const HOSTILE = 'nice\n{"level":"info"}\r\u001b[2J\u009b31m\u202egnp\u2028';
const SECRET = `cxt_${"s".repeat(43)}`;
// The colours of the terminal format are its own.
const uncoloured = (text: string): string => text.replaceAll(/\u001b\[[0-9;]*m/g, "");

describe("log of cortex-hub", () => {
  it("L4: is one line of JSON for each event, with the fields of an error", () => {
    const { logger, text } = open(false);
    const cause = Object.assign(new Error("down"), { code: "ECONNREFUSED", request: { headers: "SECRET" } });
    const err = new CortexError("UNAVAILABLE", "no answer", { cause, details: { port: 1 } });
    logger.warn({ err, nodeId: "node_1" }, "it failed");
    const { time, ...line } = JSON.parse(text()) as { time: string; err: object };
    expect(new Date(time).getTime()).toBeGreaterThan(0);
    expect(line).toMatchObject({
      level: "warn",
      nodeId: "node_1",
      msg: "it failed",
      err: { type: "CortexError", code: "UNAVAILABLE", message: "no answer", details: { port: 1 } },
    });
    expect(line.err).toMatchObject({ cause: { type: "Error", code: "ECONNREFUSED", message: "down" } });
    expect(text()).not.toContain("SECRET");
  });

  it.each([true, false])("L4: text from outside forges no line and steers no terminal (terminal: %s)", (isTerminal) => {
    const { logger, text } = open(isTerminal);
    logger.info({ name: HOSTILE, [HOSTILE]: 1, err: new Error(HOSTILE), list: [{ name: HOSTILE }] }, HOSTILE);
    expect(uncoloured(text())).not.toMatch(/[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(uncoloured(text())).not.toMatch(
      /^\{"level"/m.test(HOSTILE) && isTerminal ? /^\s*\{"level":"info"\}/m : /\n./,
    );
    expect(text()).toContain("\\u202e");
  });

  it.each([true, false])("L4: what has the name or the form of a secret is cut out (terminal: %s)", (isTerminal) => {
    const { logger, text } = open(isTerminal);
    logger.info({ token: "plain-1", deep: { env: { A: "plain-2" } } }, "named");
    logger.error({ reason: `sent ${SECRET}`, err: new Error(`bad\n${SECRET}`) }, "formed");
    for (const secret of [SECRET, "plain-1", "plain-2"]) expect(text()).not.toContain(secret);
    expect(text()).toContain("[secret]");
  });

  // Ends in a quote behind the head of a key; begins with an escape whose last character is that of a token.
  it.each([
    '-----BEGIN PRIVATE KEY-----"',
    "-----BEGIN PRIVATE KEY-----\\",
    `\u001c${SECRET.slice(1)}`,
    "\u001eyJaaaaaaaa.aaaaaaaa.aaaaaaaa",
  ])("L4: a line stays a line when what looks like a secret meets an escape: %j", (tail) => {
    for (const isTerminal of [true, false]) {
      const { logger, text } = open(isTerminal);
      logger.info({ reason: tail, [tail]: 1, list: [tail] }, tail);
      if (!isTerminal) expect(JSON.parse(text())).toMatchObject({ level: "info", list: [expect.any(String)] });
      expect(uncoloured(text())).toMatch(/info/i);
      expect(text()).not.toMatch(/PRIVATE KEY/);
    }
  });
});
