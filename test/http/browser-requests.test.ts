import { test } from "tap";
import { GatewayError } from "../../src/errors.ts";
import { isOwnName, requireOwnPage, type BrowserSigns } from "../../src/http/browser-requests.ts";

const NAMES = new Set(["gw-7f3a", "gw-7f3a.local", "gw.plant.example"]);

const HOSTS: readonly (readonly [host: string, isOwn: boolean])[] = [
  ["127.0.0.1", true],
  ["127.0.0.1:8080", true],
  ["[::1]:8080", true],
  ["[fe80::1]", true],
  ["10.0.0.7:8443", true],
  ["localhost", true],
  ["LOCALHOST:8080", true],
  ["app.localhost", true],
  ["gw-7f3a.local:8443", true],
  ["GW-7F3A.local.", true],
  ["gw.plant.example", true],
  ["evil.example", false],
  ["localhost.evil.example", false],
  ["evillocalhost", false],
  ["gw-7f3a.local.evil.example", false],
  ["127.0.0.1.evil.example", false],
  ["127.0.0.1@evil.example", false],
  ["[evil.example]", false],
  ["::1", false],
  ["gw-7f3a.local:80:80", false],
  ["", false],
];

await test("an address is the gateway's, of names only its own", (t) => {
  for (const [host, isOwn] of HOSTS) t.equal(isOwnName(host, NAMES), isOwn, host);
  t.end();
});

const PLAIN: BrowserSigns = {
  method: "POST",
  isTls: false,
  host: "gw-7f3a.local:8080",
  origin: undefined,
  fetchSite: undefined,
  hasCookie: false,
};
const TLS = { ...PLAIN, isTls: true, host: "gw-7f3a.local:8443" };

const REQUESTS: readonly (readonly [what: string, signs: Partial<BrowserSigns>, code: string])[] = [
  ["no browser, any name", { host: "some.name.example" }, ""],
  ["no browser, no name", { host: undefined }, ""],
  ["the gateway's page", { origin: "http://gw-7f3a.local:8080" }, ""],
  ["the same behind a proxy that ends TLS", { origin: "https://gw-7f3a.local:8080" }, ""],
  ["a page elsewhere", { origin: "https://evil.example" }, "forbidden"],
  ["a page on another port", { origin: "http://gw-7f3a.local:3000" }, "forbidden"],
  ["a page of a file, or of a sandbox", { origin: "null" }, "forbidden"],
  ["a page of an extension", { origin: "chrome-extension://abcdef" }, "forbidden"],
  ["a page elsewhere that only reads", { method: "GET", origin: "https://evil.example" }, ""],
  ["a form elsewhere, its origin left out", { fetchSite: "cross-site" }, "forbidden"],
  ["a neighbour's form", { fetchSite: "same-site" }, "forbidden"],
  ["typed by the user", { fetchSite: "none" }, ""],
  ["its own page, said by the browser only", { fetchSite: "same-origin" }, ""],
  [
    "a name that was made to lead here",
    { host: "evil.example:8080", origin: "http://evil.example:8080" },
    "misdirected",
  ],
  [
    "reading by such a name",
    { method: "GET", host: "evil.example", fetchSite: "same-origin" },
    "misdirected",
  ],
  ["a cookie by such a name", { host: "evil.example", hasCookie: true }, "misdirected"],
  ["a cookie and no origin", { hasCookie: true }, ""],
];

await test("a browser is served by a name of the gateway, and changes things from its page only", (t) => {
  for (const [what, given, code] of REQUESTS) {
    t.equal(codeOf({ ...PLAIN, ...given }), code, what);
  }
  t.equal(codeOf({ ...TLS, origin: "https://gw-7f3a.local:8443" }), "", "over TLS");
  t.equal(codeOf({ ...TLS, origin: "http://gw-7f3a.local:8443" }), "forbidden", "over TLS, not");
  const standard = { ...TLS, host: "gw-7f3a.local", origin: "https://gw-7f3a.local" };
  t.equal(codeOf(standard), "", "the port of the scheme is left out");
  t.equal(codeOf({ ...standard, host: "gw-7f3a.local:443" }), "", "or is not");
  t.end();
});

function codeOf(signs: BrowserSigns): string {
  try {
    requireOwnPage(signs, NAMES);
    return "";
  } catch (error) {
    return error instanceof GatewayError ? error.code : String(error);
  }
}
