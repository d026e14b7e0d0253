import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "tap";
import { PACKAGE_OWNERS, violations } from "./house-rules.ts";
import type { SourceText } from "./house-rules.ts";

function sources(): readonly SourceText[] {
  return readdirSync("src", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join("src", name))
    .map((path) => ({ path, text: readFileSync(path, "utf8") }));
}

await test("the source keeps the rules of the house", (t) => {
  const files = sources();
  t.ok(files.length > 10, "the source was found");
  t.same(violations(files), []);
  t.end();
});

await test("each package of package.json has an owner, and no other has", (t) => {
  const manifest = JSON.parse(readFileSync("package.json", "utf8")) as {
    dependencies: Record<string, string>;
  };
  t.same(Object.keys(PACKAGE_OWNERS).sort(), Object.keys(manifest.dependencies).sort());
  t.end();
});

/** Text that breaks one rule, the rule, and the same done right. */
const PLANTED: readonly (readonly [path: string, wrong: string, rule: RegExp, right: string])[] = [
  [
    "src/thing/planted.ts",
    'import { a } from "../store/a.ts";',
    /thing never imports store/,
    'import { a } from "../errors.ts";',
  ],
  [
    "src/store/planted.ts",
    'import type { A } from "../interactions/a.ts";',
    /store never imports interactions/,
    'import type { A } from "../thing/a.ts";',
  ],
  [
    "src/errors.ts",
    'export { a } from "./thing/a.ts";',
    /base never imports thing/,
    'export { a } from "./limits.ts";',
  ],
  [
    "src/interactions/planted.ts",
    'const a = await import("../mqtt/a.ts");',
    /interactions never imports edge/,
    'const a = await import("../store/a.ts");',
  ],
  [
    "src/cli/planted.ts",
    'import { a } from "../store/a.ts";',
    /cli talks to the daemon/,
    'import { a } from "../config.ts";',
  ],
  [
    "src/tls/planted.ts",
    'import { a } from "../store/a.ts";',
    /tls never imports store/,
    'import { a } from "../limits.ts";',
  ],
  [
    "src/http/planted.ts",
    'import { a } from "../gateway.ts";',
    /edge never imports root/,
    'import { a } from "../config.ts";',
  ],
  [
    "src/http/planted.ts",
    'import { a } from "../mqtt/a.ts";',
    /edges never import each other/,
    'import { a } from "./a.ts";',
  ],
  ["src/web/planted.ts", "", /the folder has no floor/, ""],
  [
    "src/mqtt/planted.ts",
    'import { a } from "./a.js";',
    /names a file/,
    'import { a } from "./a.ts";',
  ],
  [
    "src/mqtt/planted.ts",
    'import { a } from "./index.ts";',
    /no barrels/,
    'import { a } from "./a.ts";',
  ],
  [
    "src/http/planted.ts",
    'import { Level } from "level";',
    /only its owner imports level/,
    'import Koa from "koa";',
  ],
  [
    "src/http/planted.ts",
    'import Router from "@koa/rooter";',
    /@koa\/rooter has no owner/,
    'import Router from "@koa/router";',
  ],
  [
    "src/mqtt/planted.ts",
    'import { env } from "node:process";',
    /the global one/,
    'import { connect } from "node:net";',
  ],
  [
    "src/thing/planted.ts",
    'import { readFileSync } from "node:fs";',
    /does no I\/O/,
    'import Ajv from "ajv";',
  ],
  [
    "src/thing/planted.ts",
    "export async function a() {}",
    /thing\/ is synchronous/,
    "export function a() {}",
  ],
  ["src/store/planted.ts", "export default 1;", /exports are named/, "export const a = 1;"],
  [
    "src/store/planted.ts",
    "export default function a() {}",
    /exports are named/,
    "export function a() {}",
  ],
  [
    "src/store/planted.ts",
    "const a = 1; export { a as default };",
    /exports are named/,
    "const a = 1; export { a };",
  ],
  ["src/store/planted.ts", "\n".repeat(401), /at most 400 lines/, "\n".repeat(400)],
  ["src/store/planted.ts", "f(process.env);", /process\.env has one owner/, "f(process.pid);"],
  ["src/store/planted.ts", 'f(process["env"]);', /process\.env has one owner/, ""],
  ["src/store/planted.ts", "const { env } = process;", /process\.env has one owner/, ""],
  ["src/gateway.ts", "process.exit(1);", /process\.exit has one owner/, "// process.exit(1)"],
  [
    "src/gateway.ts",
    'process.on("SIGTERM", f);',
    /process\.on has one owner/,
    'server.on("x", f);',
  ],
  ["src/store/planted.ts", "f(Date.now());", /Date\.now has one owner/, "f(clock.wallMs());"],
  ["src/mqtt/planted.ts", "f(Math.random());", /Math\.random has one owner/, "f(Math.max(1));"],
  [
    "src/http/planted.ts",
    'import { randomUUID } from "node:crypto";',
    /comes from a Random/,
    'import { createHash } from "node:crypto";',
  ],
  ["src/mqtt/planted.ts", "f(new Date());", /comes from a Clock/, "f(new Date(0));"],
];

await test("each rule finds what breaks it, and lets pass what keeps it", (t) => {
  for (const [path, wrong, rule, right] of PLANTED) {
    const name = `${path}: ${wrong.trim().slice(0, 60)}`;
    t.match(violations([{ path, text: wrong }]), [{ path, rule }], name);
    if (right === "") continue;
    t.same(violations([{ path, text: right }]), [], `${path}: ${right.trim().slice(0, 60)}`);
  }
  t.end();
});
