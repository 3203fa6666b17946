import { describe, expect, it } from "vitest";
import { toPrintable, withoutSecrets } from "../src/printable.js";

describe("text from outside", () => {
  it.each([
    ["a line\nforged\r", "a line\\nforged\\r"],
    ["\u001b[2J red \u009b31m", "\\u001b[2J red \\u009b31m"],
    ["evil\u202egpj.exe\u2066\u200f", "evil\\u202egpj.exe\\u2066\\u200f"],
    ["\u2028\u2029\u0000\u007f\ufeff", "\\u2028\\u2029\\u0000\\u007f\\ufeff"],
    ["tag \u{e0041}", "tag \\udb40\\udc41"],
    ["käse 名前 🧀 — fine", "käse 名前 🧀 — fine"],
  ])("L4: %j is shown as one line that does nothing to a terminal", (text, shown) => {
    expect(toPrintable(text)).toBe(shown);
  });

  it("L4: the escapes are those of JSON, so that a line of it stays the same value", () => {
    const value = { name: "a\u202eb\u2028c\u{e0041}\u009b" };
    const line = toPrintable(JSON.stringify(value));
    expect(line).not.toMatch(/[\p{Cf}\p{Cc}\p{Zl}]/u);
    expect(JSON.parse(line)).toEqual(value);
  });

  it("L4: what has the form of a secret is cut out, and ids are not", () => {
    const jwt = `eyJ${"a".repeat(20)}.eyJ${"b".repeat(20)}.${"c".repeat(20)}`;
    const pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----";
    const text = `cxi_${"A1-_".repeat(10)} cxt_${"b".repeat(43)} Bearer ${jwt} ${pem} task_01J00000000000000000000001`;
    expect(withoutSecrets(text)).toBe("[secret] [secret] Bearer [secret] [secret] task_01J00000000000000000000001");
    expect(withoutSecrets(JSON.stringify({ pem }))).toBe('{"pem":"[secret]"}');
    expect(JSON.parse(withoutSecrets(JSON.stringify({ text: `${pem.slice(0, 27)}"` })))).toEqual({ text: '[secret]"' });
    expect(withoutSecrets(JSON.stringify(`at\ncxt_${"b".repeat(43)}`))).toBe('"at\\n[secret]"');
    expect(withoutSecrets("the invite cxi_ is cut off; cxt_short")).toBe("the invite cxi_ is cut off; cxt_short");
  });
});
