import js from "@eslint/js";
import tseslint from "typescript-eslint";

const noDirectTime = [
  { object: "Date", property: "now", message: "Take a Clock as an argument (src/clock.ts)." },
  { object: "Math", property: "random", message: "Take a Random as an argument (src/clock.ts)." },
  { object: "process", property: "env", message: "Only src/config.ts reads the environment." },
];

export default tseslint.config(
  { ignores: ["build/", "node_modules/", ".tap/", "data/"] },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/no-unsafe-type-assertion": "error",
      "@typescript-eslint/strict-boolean-expressions": "error",
      "@typescript-eslint/promise-function-async": "error",
      "@typescript-eslint/no-unused-vars": ["error", { ignoreRestSiblings: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/consistent-type-definitions": "off",
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            { from: "package", name: ["test", "before", "teardown"], package: "tap" },
          ],
        },
      ],
      "max-lines": ["error", { max: 400, skipBlankLines: false, skipComments: false }],
      "max-lines-per-function": ["error", { max: 70, skipBlankLines: true, skipComments: true }],
      "no-console": "error",
      "no-restricted-properties": ["error", ...noDirectTime],
      "no-restricted-syntax": [
        "error",
        { selector: "ExportDefaultDeclaration", message: "Named exports only." },
        { selector: "TSEnumDeclaration", message: "Use a union of literals." },
      ],
    },
  },
  { files: ["src/clock.ts", "src/config.ts"], rules: { "no-restricted-properties": "off" } },
  {
    files: ["test/**/*.ts", "bench/**/*.ts"],
    rules: {
      "max-lines-per-function": "off",
      "no-console": "off",
      "no-restricted-properties": "off",
      "@typescript-eslint/no-unsafe-type-assertion": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-floating-promises": "error",
    },
  },
  // A declaration file says what somebody else's package exports.
  { files: ["**/*.d.ts"], rules: { "no-restricted-syntax": "off" } },
  { files: ["*.js"], languageOptions: { globals: { process: "readonly" } } },
);
