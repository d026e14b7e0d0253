import { isIP } from "node:net";
import { GatewayError } from "../errors.ts";

/** What of a request says where a browser sent it from, and where it thinks it sent it to. */
export type BrowserSigns = {
  readonly method: string;
  readonly isTls: boolean;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** Fetch Metadata, W3C. */
  readonly fetchSite: string | undefined;
  readonly hasCookie: boolean;
};

/**
 * Of what a browser sends only that is served which comes by a name of the gateway and, where it would
 * change something, from a page of the gateway itself. A browser does what any page tells it, with the
 * user's own address, certificate and cookies (CSRF); and a page may have the name it came
 * from lead to the gateway (DNS rebinding), or to the loopback of the machine the user sits at. Other clients say
 * none of this and are not asked: they come by any name.
 * @throws GatewayError `misdirected`, `forbidden`.
 */
export function requireOwnPage(signs: BrowserSigns, hostNames: ReadonlySet<string>): void {
  const { method, host = "", origin, fetchSite, hasCookie } = signs;
  if (origin === undefined && fetchSite === undefined && !hasCookie) return;
  if (!isOwnName(host, hostNames)) {
    const detail = `a browser asked for ${host.slice(0, 256)}, which is no name of the gateway`;
    throw new GatewayError("misdirected", detail);
  }
  if (method === "GET" || method === "HEAD" || method === "OPTIONS") return;
  if (origin === undefined ? !isOwnSite(fetchSite) : !isOwnOrigin(origin, host, signs.isTls)) {
    throw new GatewayError("forbidden", "the request comes from a page of another origin");
  }
}

/** An address leads to whoever has it; of names only ours. The port says nothing. */
export function isOwnName(host: string, hostNames: ReadonlySet<string>): boolean {
  const [, bracketed, bare] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d{1,5})?$/.exec(host) ?? [];
  if (bracketed !== undefined) return isIP(bracketed) === 6;
  if (bare === undefined) return false;
  const name = bare.toLowerCase().replace(/\.$/, "");
  // RFC 6761 §6.3: no name service may answer for these.
  return isIP(name) !== 0 || /(^|\.)localhost$/.test(name) || hostNames.has(name);
}

/** Behind a proxy that ends TLS the page is one of https and the request is not. */
function isOwnOrigin(origin: string, host: string, isTls: boolean): boolean {
  if (!URL.canParse(origin) || !URL.canParse(`http://${host}`)) return false;
  const { protocol, host: from } = new URL(origin);
  if (protocol !== "https:" && (isTls || protocol !== "http:")) return false;
  // The default port of the scheme may be left out on either side.
  return from === new URL(`${protocol}//${host}`).host;
}

/** `none`: the user typed it, or opened it from outside of the browser. */
function isOwnSite(fetchSite: string | undefined): boolean {
  return fetchSite === undefined || fetchSite === "same-origin" || fetchSite === "none";
}
