import { test } from "tap";
import { putAccount } from "../../src/interactions/accounts.ts";
import type { Route } from "../../src/http/call.ts";
import { AddressRate } from "../../src/address-rate.ts";
import { makeRoutes } from "../../src/http/routes.ts";
import { readFileSync } from "node:fs";
import { fencedBlocks, outputPattern, tableRows } from "../documents.ts";
import { startGateway, type Gateway, type Reply } from "./harness.ts";

const DOCUMENT = "docs/http-api.md";
/** In a text it stands for any text; `"…": "…"` among members for further ones. */
const ANY = "…";

await test("docs/http-api.md has a row for each route, as the code has it, and no other", (t) => {
  const routes = makeRoutes(new AddressRate(0, { monotonicMs: () => 0 }));
  const heading = ["method", "path", "scope", "query", "what it does"];
  const rows = tableRows(DOCUMENT, heading).map((cells) => cells.slice(0, 4).join(" | "));
  t.same(rows.toSorted(), routes.map(rowOf).toSorted());
  t.end();
});

function rowOf({ method, path, scopes, query }: Route): string {
  const code = (words: readonly string[]): string => words.map((word) => `\`${word}\``).join(" ");
  const shownPath = code([path.replaceAll(/:(\w+)/g, "{$1}")]);
  const shownScopes = scopes === "none" ? "none" : code(scopes);
  return [method, shownPath, shownScopes, code(query ?? [])].join(" | ");
}

await test("every exchange of docs/http-api.md happens as it is shown", async (t) => {
  const gateway = await startGateway(t);
  putAccount(gateway.deps, "site", {});
  const exchanges = fencedBlocks(readFileSync(DOCUMENT, "utf8"))
    .filter(({ language }) => language === "http")
    .flatMap(({ text }) => parseExchanges(text));
  t.ok(exchanges.length > 20, "they were found");
  const known: string[] = [];
  for (const exchange of exchanges) {
    const path = known.findLast((seen) => matches(exchange.path, seen)) ?? exchange.path;
    const name = `${exchange.method} ${exchange.path}`;
    t.notMatch(path, ANY, `${name} was told of before`);
    const reply = await play(gateway, { ...exchange, path });
    known.push(...hrefsOf(reply));
    t.equal(`${reply.status}`, exchange.status, `${name}: ${reply.text}`);
    for (const [header, value] of exchange.expected) {
      t.match(reply.headers.get(header), outputPattern(value), `${name}: ${header}`);
    }
    if (exchange.shown === "" && exchange.status !== "204") continue;
    if (exchange.shown === "") t.equal(reply.text, "", name);
    else t.same(differences(JSON.parse(exchange.shown), reply.json), [], `${name}: ${reply.text}`);
  }
});

type Exchange = {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly status: string;
  readonly expected: readonly (readonly [header: string, value: string])[];
  readonly shown: string;
};

/** A request, an empty line, its answer; each with its header fields and then its body. */
function parseExchanges(text: string): readonly Exchange[] {
  const parts = text.trim().split(/\n\n+/);
  return parts.flatMap((part, index) => {
    const [, method, path] = /^(GET|POST|PUT|PATCH|DELETE) (\/\S*)$/m.exec(part) ?? [];
    if (method === undefined || path === undefined) return [];
    const request = parseMessage(part);
    const answer = parseMessage(parts[index + 1] ?? "");
    const status = answer.start.slice(0, 3);
    return [
      {
        method,
        path,
        headers: Object.fromEntries(request.headers),
        body: request.body,
        status,
        expected: answer.headers,
        shown: answer.body === ANY ? "" : answer.body,
      },
    ];
  });
}

function parseMessage(text: string) {
  const [start = "", ...lines] = text.split("\n");
  const end = lines.findIndex((line) => !/^[A-Z][A-Za-z-]*: /.test(line));
  const headers = (end === -1 ? lines : lines.slice(0, end)).map((line) => {
    const colon = line.indexOf(": ");
    return [line.slice(0, colon), line.slice(colon + 2)] as const;
  });
  return { start, headers, body: end === -1 ? "" : lines.slice(end).join("\n") };
}

async function play(gateway: Gateway, exchange: Exchange): Promise<Reply> {
  const { method, path, headers, body } = exchange;
  return gateway.call(method, path, { headers, ...(body === "" ? {} : { body }) });
}

/** Where the answer says that things are. */
function hrefsOf({ headers, text }: Reply): readonly string[] {
  const location = headers.get("location");
  const hrefs = Array.from(text.matchAll(/"href":"([^"]+)"/g), ([, href = ""]) => href);
  return location === null ? hrefs : [...hrefs, location];
}

function matches(shown: string, actual: string): boolean {
  return outputPattern(shown).test(actual);
}

/** The places where `actual` is not what is shown. */
function differences(shown: unknown, actual: unknown, at = ""): readonly string[] {
  if (typeof shown === "string" && typeof actual === "string") {
    return matches(shown, actual) ? [] : [`${at}: ${actual}`];
  }
  if (!isObject(shown) || !isObject(actual)) return shown === actual ? [] : [at];
  const [wanted, found] = [new Map(Object.entries(shown)), new Map(Object.entries(actual))];
  const isOpen = wanted.delete(ANY);
  const unknown = isOpen ? [] : [...found.keys()].filter((member) => !wanted.has(member));
  return [
    ...unknown.map((member) => `${at}/${member} is not shown`),
    ...[...wanted].flatMap(([member, value]) =>
      found.has(member)
        ? differences(value, found.get(member), `${at}/${member}`)
        : [`${at}/${member} is missing`],
    ),
  ];
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
