/**
 * Makes the TypeScript of the wire schema, after linting it and checking that it breaks no released reader.
 *
 * The tools live in `.cache/protoc/`, outside the lockfile: they are large, and the generator wants a newer Node than
 * Cortex does, so it gets one of its own where the running one is older. The generated code is committed.
 *
 *   node scripts/generate-proto.mjs             writes packages/protocol/src/gen
 *   node scripts/generate-proto.mjs --check     writes nothing; fails when the committed code differs
 *   node scripts/generate-proto.mjs --released  records the schema as released (later ones must stay compatible)
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join, relative } from "node:path";
import { run, runQuietly, runScript, StepError, say } from "./terminal.mjs";
import { ROOT } from "./workspaces.mjs";

const PACKAGE = join(ROOT, "packages/protocol");
const TOOLS = join(ROOT, ".cache/protoc");
const RELEASED = "released.binpb";
const GENERATOR_NODE_MAJOR = 22;
const TOOL_PACKAGES = ["@bufbuild/buf@1.75.0", "@bufbuild/protoc-gen-es@2.17.0"];

const INDEX_HEADER = `/**
 * The generated messages and services of \`cortex.agent.v1\`; the \`.proto\` files ship in \`proto/\`.
 *
 * @packageDocumentation
 */
`;

const ENV = {
  ...process.env,
  PATH: `${join(TOOLS, "node_modules/.bin")}${delimiter}${process.env["PATH"] ?? ""}`,
  BUF_CACHE_DIR: join(TOOLS, "buf-cache"),
};

async function installTools() {
  const packages = [...TOOL_PACKAGES];
  if (Number.parseInt(process.versions.node, 10) < GENERATOR_NODE_MAJOR) {
    packages.push(`node-${process.platform}-${process.arch}@${GENERATOR_NODE_MAJOR}`);
  }
  const stampFile = join(TOOLS, "installed.txt");
  const stamp = packages.join(" ");
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return;
  rmSync(TOOLS, { recursive: true, force: true });
  mkdirSync(TOOLS, { recursive: true });
  writeFileSync(join(TOOLS, "package.json"), '{ "private": true }\n');
  say(`installing ${stamp}`);
  await run("npm", ["install", "--no-save", "--no-package-lock", "--ignore-scripts", ...packages], { cwd: TOOLS });
  writeFileSync(stampFile, stamp);
}

/** @param {readonly string[]} args */
function buf(...args) {
  return run("buf", args, { cwd: PACKAGE, env: ENV });
}

async function checkBreaking() {
  if (existsSync(join(PACKAGE, RELEASED))) {
    await buf("breaking", "--against", RELEASED);
    return say("compatible with the released schema");
  }
  const onMain = await runQuietly("git", ["cat-file", "-e", "main:packages/protocol/proto"], { cwd: ROOT });
  if (onMain.status !== 0) return say("no earlier schema to be compatible with");
  await buf("breaking", "--against", `${join(ROOT, ".git")}#branch=main,subdir=packages/protocol`);
  say("compatible with the schema on main");
}

/**
 * Generates into `directory` and adds the public entry.
 *
 * @param {string} directory
 */
async function generateInto(directory) {
  const scratch = mkdtempSync(join(TOOLS, "gen-"));
  try {
    await buf("generate", "--output", scratch);
    const made = join(scratch, "src/gen");
    // The services of gRPC itself are for the packages' own use: their names say little outside their package.
    const own = listFiles(made).filter((file) => file.startsWith("cortex/"));
    const exports = own.map((file) => `export * from "./${file.replace(/\.ts$/, ".js")}";\n`);
    writeFileSync(join(made, "index.ts"), INDEX_HEADER + exports.join(""));
    rmSync(directory, { recursive: true, force: true });
    cpSync(made, directory, { recursive: true });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * @param {string} directory
 * @returns {string[]} files relative to it, sorted
 */
function listFiles(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .sort();
}

/**
 * @param {string} made
 * @param {string} committed
 */
function assertSame(made, committed) {
  const names = [...new Set([...listFiles(made), ...listFiles(committed)])];
  const read = (/** @type {string} */ directory, /** @type {string} */ name) =>
    existsSync(join(directory, name)) ? readFileSync(join(directory, name), "utf8") : undefined;
  const different = names.filter((name) => read(made, name) !== read(committed, name));
  if (different.length > 0) {
    throw new StepError(`generated code is not current, run \`npm run generate\`: ${different.join(", ")}`);
  }
}

await runScript(async () => {
  await installTools();
  await buf("lint");
  if (process.argv.includes("--released")) {
    await checkBreaking();
    await buf("build", "--output", RELEASED);
    return say(`recorded in packages/protocol/${RELEASED}`);
  }
  await checkBreaking();
  const committed = join(PACKAGE, "src/gen");
  if (process.argv.includes("--check")) {
    const made = join(TOOLS, "check");
    await generateInto(made);
    assertSame(made, committed);
    return say("generated code is current");
  }
  await generateInto(committed);
  say("generated packages/protocol/src/gen");
});
