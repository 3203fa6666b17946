/**
 * Compares `test/features.json` with the titles of the tests, which start with the ids of the promises they prove.
 *
 * A row that is claimed there but cited by no title is a fault, and so is a title that cites an unknown row. Rows that
 * are not claimed yet are listed, for information.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runScript, StepError, say } from "./terminal.mjs";
import { ROOT, readJson } from "./workspaces.mjs";

/** The ids at the start of a title: `it("E3: …")`, `it("E2, E3: …")`, `describe("H8 …")` does not count. */
const TITLE = /\b(?:it|test|describe)(?:\.\w+)*(?:\([^()]*\))?\(\s*["'`]((?:[A-Z]\d+)(?:[ ,/&]+[A-Z]\d+)*):/g;

/** @returns {Map<string, string[]>} id -> files that cite it */
function findCitations() {
  /** @type {Map<string, string[]>} */
  const citations = new Map();
  for (const top of ["packages", "examples", "test"]) {
    for (const entry of readdirSync(join(ROOT, top), { recursive: true, withFileTypes: true })) {
      if (!entry.name.endsWith(".test.ts") || entry.parentPath.includes("node_modules")) continue;
      const file = join(entry.parentPath, entry.name);
      for (const [, ids = ""] of readFileSync(file, "utf8").matchAll(TITLE)) {
        for (const id of ids.match(/[A-Z]\d+/g) ?? []) citations.set(id, [...(citations.get(id) ?? []), file]);
      }
    }
  }
  return citations;
}

await runScript(async () => {
  /** @type {{ rows: string[], claimed: string[] }} */
  const { rows, claimed } = readJson(join(ROOT, "test/features.json"));
  const citations = findCitations();
  const unknown = [...citations].filter(([id]) => !rows.includes(id));
  const faults = [
    ...claimed.filter((id) => !rows.includes(id)).map((id) => `${id} is claimed but is no row`),
    ...claimed.filter((id) => !citations.has(id)).map((id) => `${id} is claimed but no test title cites it`),
    ...unknown.map(([id, files]) => `${id} is no row, but is cited in ${files.join(", ")}`),
  ];
  const open = rows.filter((id) => !claimed.includes(id));
  say(`claimed: ${claimed.length} of ${rows.length} rows`);
  say(`not claimed, cited by tests: ${open.filter((id) => citations.has(id)).join(" ") || "none"}`);
  say(`not claimed, cited by none: ${open.filter((id) => !citations.has(id)).join(" ") || "none"}`);
  if (faults.length > 0) throw new StepError("test/features.json and the tests disagree", faults.join("\n"));
});
