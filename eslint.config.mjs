/**
 * Lint rules: type-aware correctness and the size limits of this code base. Formatting is Biome's.
 */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import tseslint from "typescript-eslint";

const SIZE_LIMITS = {
  "max-params": "off",
  "@typescript-eslint/max-params": ["error", { max: 3 }],
  "max-lines": ["error", { max: 400 }],
  "max-lines-per-function": ["error", { max: 60, skipBlankLines: true, skipComments: true }],
};

export default tseslint.config(
  {
    ignores: [
      "**/dist/**",
      "**/node_modules/**",
      "**/coverage/**",
      ".cache/**",
      ".cortex/**",
      "packages/protocol/src/gen/**",
    ],
  },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.base],
    languageOptions: {
      parserOptions: {
        projectService: {
          allowDefaultProject: ["*/tsup.config.ts", "packages/*/tsup.config.ts", "examples/*/tsup.config.ts"],
          maximumDefaultProjectFileMatchCount_THIS_WILL_SLOW_DOWN_LINTING: 32,
        },
        tsconfigRootDir: dirname(fileURLToPath(import.meta.url)),
      },
    },
    rules: {
      ...SIZE_LIMITS,
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-console": "error",
      "no-empty": "error",
      "no-restricted-syntax": [
        "error",
        {
          selector: "ExportDefaultDeclaration",
          message: "Named exports only: a default export has no name to search for.",
        },
      ],
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/consistent-type-exports": "error",
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "separate-type-imports" }],
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/no-unnecessary-type-assertion": "error",
      "@typescript-eslint/only-throw-error": ["error", { allowThrowingAny: true, allowThrowingUnknown: true }],
      "@typescript-eslint/return-await": ["error", "error-handling-correctness-only"],
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    },
  },
  {
    files: ["**/*.mjs", "**/*.js"],
    rules: { ...SIZE_LIMITS, "@typescript-eslint/max-params": "off", "max-params": ["error", 3] },
  },
  {
    // The body of a `describe` is a list, not a function to hold in the head; a fixture may be asserted non-null.
    files: ["**/test/**/*.ts", "**/*.test.ts"],
    rules: { "max-lines-per-function": ["error", { max: 300 }], "@typescript-eslint/no-non-null-assertion": "off" },
  },
  {
    // Tools read their options from a default export.
    files: ["**/*.config.ts"],
    rules: { "no-restricted-syntax": "off" },
  },
  {
    // Programs of the command line print.
    files: ["bench/**/*.ts", "scripts/**/*.mjs"],
    rules: { "no-console": "off" },
  },
);
