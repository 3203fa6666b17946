/**
 * Checks that relative links in the Markdown files lead to a file, and their fragments to a heading.
 *
 * Addresses on the network are not visited: a check that depends on other people's servers fails for no fault of ours.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { runScript, StepError, say } from "./terminal.mjs";
import { ROOT } from "./workspaces.mjs";

const SKIPPED = new Set(["node_modules", "dist", "coverage", ".cache", ".cortex", ".git", ".changeset"]);

/**
 * @param {string} directory
 * @returns {string[]}
 */
function listMarkdown(directory) {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name)) return [];
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return listMarkdown(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

/** @param {string} text */
function withoutCode(text) {
  return text.replace(/^(`{3,}|~{3,})[\s\S]*?^\1/gm, "").replace(/`[^`\n]*`/g, "");
}

/**
 * @param {string} file
 * @returns {Set<string>} fragments as the usual renderers make them
 */
function listFragments(file) {
  const text = readFileSync(file, "utf8").replace(/^(`{3,}|~{3,})[\s\S]*?^\1/gm, "");
  /** @type {Map<string, number>} */
  const seen = new Map();
  const fragments = [...text.matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)].map(([, title = ""]) => {
    const plain = title.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const slug = plain.replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-");
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    return count === 0 ? slug : `${slug}-${count}`;
  });
  return new Set(fragments);
}

/**
 * @param {string} file
 * @returns {string[]} what is wrong in it
 */
function findFaults(file) {
  const links = withoutCode(readFileSync(file, "utf8")).matchAll(/\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)/g);
  /** @type {string[]} */
  const faults = [];
  for (const [, target = ""] of links) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(target)) continue;
    const [path = "", fragment = ""] = target.split("#");
    const at = path === "" ? file : resolve(dirname(file), decodeURIComponent(path));
    const where = `${relative(ROOT, file)}: ${target}`;
    if (!existsSync(at)) faults.push(`${where}: no such file`);
    else if (fragment !== "" && statSync(at).isFile() && at.endsWith(".md") && !listFragments(at).has(fragment)) {
      faults.push(`${where}: no such heading`);
    }
  }
  return faults;
}

await runScript(async () => {
  const files = listMarkdown(ROOT);
  const faults = files.flatMap(findFaults);
  if (faults.length > 0) throw new StepError("links lead nowhere", faults.join("\n"));
  say(`${files.length} Markdown files: every link leads somewhere`);
});
