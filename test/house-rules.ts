import ts from "typescript";

/** One file of `src/`, its path from the root of the repository. */
export type SourceText = { readonly path: string; readonly text: string };
export type Violation = { readonly path: string; readonly line: number; readonly rule: string };

/** From the bottom up: a file imports from its own floor's folder, or from a lower floor. */
const FLOORS = ["base", "thing", "config", "tls", "store", "interactions", "edge", "root"] as const;
type Floor = (typeof FLOORS)[number];

const EDGES: readonly string[] = ["mqtt", "http", "uplink", "systemd", "cli"];
const ROOT_FILES = /^src\/(main|gateway|gateway-[a-z-]+|admin-token)\.ts$/;

/** The one folder (or one kind of file) that knows each outside package. */
export const PACKAGE_OWNERS: Readonly<Record<string, RegExp>> = {
  "@koa/router": /^src\/http\//,
  aedes: /^src\/mqtt\//,
  "aedes-persistence-level": /^src\/mqtt\//,
  ajv: /^src\/thing\//,
  "ajv-formats": /^src\/thing\//,
  "fast-json-patch": /^src\/http\//,
  koa: /^src\/http\//,
  level: /^src\/store\//,
  "mqtt-packet": /^src\/(mqtt|uplink)\//,
  // Certificates: for the listeners with TLS.
  "node-forge": /^src\/tls\//,
  pino: /^src\/journal\.ts$/,
  "raw-body": /^src\/http\//,
  "smol-toml": /^src\/config\.ts$/,
  socks: /^src\/uplink\//,
  ulid: /^src\/store\//,
  // QR codes, on a console and on a page.
  uqr: /^src\/qr\.ts$/,
  ws: /^src\/(mqtt|uplink)\//,
  // No subsystem but the language in which input becomes a type: where rows, bodies and files are read.
  zod: /^src\/(config(-schema|-uplinks)?\.ts$|uplink-members\.ts$|store\/|http\/|mqtt\/session-rows\.ts$)/,
};

const LINES_MAX = 400;

/** Every violation of the house's rules in these files, in their order. */
export function violations(sources: readonly SourceText[]): readonly Violation[] {
  return sources.flatMap(({ path, text }) => {
    const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
    const found: Violation[] = [];
    const report = (node: ts.Node, rule: string): void => {
      const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
      found.push({ path, line: line + 1, rule });
    };
    if (floorOf(path) === undefined) found.push({ path, line: 1, rule: "the folder has no floor" });
    const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
    if (lines > LINES_MAX) found.push({ path, line: lines, rule: "a file has at most 400 lines" });
    const visit = (node: ts.Node): void => {
      const specifier = specifierOf(node);
      const broken = specifier === undefined ? undefined : brokenBy(path, specifier);
      if (broken !== undefined) report(node, broken);
      checkNode(path, node, (rule) => report(node, rule));
      ts.forEachChild(node, visit);
    };
    visit(file);
    return found;
  });
}

/** `undefined`: a folder nobody gave a floor. */
function floorOf(path: string): Floor | undefined {
  if (ROOT_FILES.test(path)) return "root";
  if (/^src\/(config(-[a-z]+)?|uplink-(settings|members))\.ts$/.test(path)) return "config";
  if (/^src\/[a-z-]+\.ts$/.test(path)) return "base";
  const folder = folderOf(path);
  if (EDGES.includes(folder)) return "edge";
  return FLOORS.find((floor) => floor === folder && floor !== "root" && floor !== "base");
}

/** The first folder below `src/`; empty for a file of `src/` itself. */
function folderOf(path: string): string {
  return /^src\/([^/]+)\//.exec(path)?.[1] ?? "";
}

/** What a static import, a re-export, or an `import()` of a plain string names. */
function specifierOf(node: ts.Node): string | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
    const named = node.moduleSpecifier;
    return named !== undefined && ts.isStringLiteral(named) ? named.text : undefined;
  }
  const isDynamic =
    ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
  const named = isDynamic ? node.arguments[0] : undefined;
  return named !== undefined && ts.isStringLiteral(named) ? named.text : undefined;
}

/** The rule that this import breaks, if it breaks one. */
function brokenBy(path: string, specifier: string): string | undefined {
  if (specifier.startsWith(".")) return brokenByRelative(path, specifier);
  if (!specifier.startsWith("node:")) return brokenByPackage(path, specifier);
  if (floorOf(path) === "thing") return "thing/ does no I/O: it imports nothing of Node's";
  return specifier === "node:process"
    ? "process is the global one, so that its use is seen"
    : undefined;
}

function brokenByRelative(path: string, specifier: string): string | undefined {
  if (!/^(\.\/|(\.\.\/)+)([a-z0-9-]+\/)*[a-z0-9-]+\.ts$/.test(specifier)) {
    return "a relative import names a file: ./name.ts";
  }
  const target = new URL(specifier, `file:///${path}`).pathname.slice(1);
  if (target.endsWith("/index.ts")) return "there are no barrels";
  const from = floorOf(path);
  const to = floorOf(target);
  if (from === undefined || to === undefined) return "imports stay within the floors";
  if (folderOf(path) === "cli" && !["base", "config"].includes(to) && folderOf(target) !== "cli") {
    return "cli talks to the daemon";
  }
  if (FLOORS.indexOf(to) > FLOORS.indexOf(from)) return `${from} never imports ${to}`;
  const isOtherEdge = to === "edge" && folderOf(path) !== folderOf(target);
  return from === "edge" && isOtherEdge ? "edges never import each other" : undefined;
}

function brokenByPackage(path: string, specifier: string): string | undefined {
  const name = /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier;
  const owner = PACKAGE_OWNERS[name];
  if (owner === undefined) return `the package ${name} has no owner`;
  return owner.test(path) ? undefined : `only its owner imports ${name}`;
}

/** Members of globals that one file may use, and the file. */
const OWNED_MEMBERS: readonly (readonly [RegExp, RegExp])[] = [
  [/^process\.env$/, /^src\/config\.ts$/],
  [/^process\.(exit|exitCode|on|once|kill|abort|argv)$/, /^src\/(main|cli\/main)\.ts$/],
  [/^(Date\.now|Math\.random|performance\.now|process\.hrtime)$/, /^src\/clock\.ts$/],
];

/** What node:crypto makes from nothing. */
const RANDOM = /^random[A-Z]|^getRandomValues$/;

function checkNode(path: string, node: ts.Node, report: (rule: string) => void): void {
  const member = memberOf(node);
  for (const [owned, owner] of OWNED_MEMBERS) {
    if (owned.test(member) && !owner.test(path)) report(`${member} has one owner`);
  }
  if (ts.isImportSpecifier(node) && RANDOM.test((node.propertyName ?? node.name).text)) {
    if (path !== "src/clock.ts") report("randomness comes from a Random");
  }
  if (isNewDateOfNow(node) && path !== "src/clock.ts") report("the time comes from a Clock");
  // A declaration file says what somebody else's package exports.
  if (isDefaultExport(node) && !path.endsWith(".d.ts")) report("exports are named");
  if (floorOf(path) === "thing" && isAsync(node)) report("thing/ is synchronous");
}

/** `a.b`, however it is written: `a.b`, `a["b"]`, `const { b } = a`. Empty for anything else. */
function memberOf(node: ts.Node): string {
  if (ts.isPropertyAccessExpression(node)) return `${node.expression.getText()}.${node.name.text}`;
  if (ts.isElementAccessExpression(node) && ts.isStringLiteral(node.argumentExpression)) {
    return `${node.expression.getText()}.${node.argumentExpression.text}`;
  }
  if (!ts.isBindingElement(node)) return "";
  const declaration = node.parent.parent;
  if (!ts.isVariableDeclaration(declaration) || declaration.initializer === undefined) return "";
  return `${declaration.initializer.getText()}.${(node.propertyName ?? node.name).getText()}`;
}

function isNewDateOfNow(node: ts.Node): boolean {
  return (
    ts.isNewExpression(node) &&
    node.expression.getText() === "Date" &&
    (node.arguments?.length ?? 0) === 0
  );
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true;
  if (ts.isExportSpecifier(node)) return node.name.text === "default";
  return (
    ts.canHaveModifiers(node) &&
    (ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword) ?? false)
  );
}

function isAsync(node: ts.Node): boolean {
  return (
    ts.canHaveModifiers(node) &&
    (ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword) ?? false)
  );
}
