/**
 * How the tests run: three projects with their own time limits, all on the packages' sources.
 *
 * - unit: `test/**` of a workspace; no socket.
 * - integration: `*.int.test.ts`; sockets, child processes, temporary directories.
 * - system: `test/**` at the root; whole programs, one file at a time.
 */
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { listEntries, listWorkspaces, ROOT } from "./scripts/workspaces.mjs";

/** Each public entry resolves to its source, so that tests need no build of the libraries. */
const alias = listWorkspaces().flatMap(({ directory, manifest }) =>
  listEntries(manifest).map(({ specifier, source }) => ({
    find: new RegExp(`^${specifier.replaceAll("/", "\\/")}$`),
    replacement: join(directory, source),
  })),
);

const WORKSPACE_TESTS = ["packages/*/test/**", "examples/*/test/**", "bench/test/**"];

export default defineConfig({
  root: ROOT,
  resolve: { alias },
  test: {
    passWithNoTests: true,
    coverage: {
      provider: "v8",
      include: ["packages/*/src/**"],
      exclude: ["packages/protocol/src/gen/**"],
      reportsDirectory: "coverage",
    },
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: WORKSPACE_TESTS.map((glob) => `${glob}/*.test.ts`),
          exclude: ["**/*.int.test.ts", "**/node_modules/**"],
          testTimeout: 10_000,
          hookTimeout: 10_000,
        },
      },
      {
        extends: true,
        test: {
          name: "integration",
          include: WORKSPACE_TESTS.map((glob) => `${glob}/*.int.test.ts`),
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          pool: "forks",
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "system",
          include: ["test/**/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          pool: "forks",
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
