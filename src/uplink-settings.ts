import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Fault } from "./errors.ts";
import { hasUser, UPLINK_CLASSES, type GivenUplink } from "./uplink-members.ts";

/** One uplink as an operator wants it: complete, checked, members as in the file and the API. */
export type UplinkSettings = Omit<GivenUplink, "password" | "key"> & {
  readonly password?: string;
  readonly key?: string;
};

export type CompletedUplink =
  | { readonly ok: true; readonly settings: UplinkSettings }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/**
 * The settings a PUT makes: secrets that are left out are those of `before`, null removes one. A
 * fault points at the member that does not go with the others.
 */
export function completeUplink(given: GivenUplink, before?: UplinkSettings): CompletedUplink {
  const { password, key, ...rest } = given;
  const keptKey = rest.cert === undefined ? undefined : before?.key;
  const settings: UplinkSettings = {
    ...rest,
    ...member("password", password === undefined ? before?.password : password),
    ...member("key", key === undefined ? keptKey : key),
    ...member("proxy", keptProxy(rest.proxy, before?.proxy)),
  };
  const faults = CROSS_CHECKS.flatMap(([pointer, detail, isBroken]) =>
    isBroken(settings) ? [{ pointer, detail }] : [],
  );
  return faults.length > 0 ? { ok: false, faults } : { ok: true, settings };
}

/** What an answer shows: no password, no key, no credentials of a proxy. */
export function shownSettings(settings: UplinkSettings): Omit<UplinkSettings, "password" | "key"> {
  const { password: _, key: __, proxy, ...shown } = settings;
  return { ...shown, ...member("proxy", proxy === undefined ? undefined : withoutUser(proxy)) };
}

type CrossCheck = readonly [
  pointer: string,
  detail: string,
  isBroken: (settings: UplinkSettings) => boolean,
];

const CROSS_CHECKS: readonly CrossCheck[] = [
  ["/password", "needs a username with protocol 4 [MQTT-3.1.2-22]", isPasswordAlone],
  [
    "/order",
    "live-first is not for the shape peer: its upstream cannot tell backlog from news",
    isLivePeer,
  ],
  [
    "/order",
    "live-first needs protocol 5 or an envelope: there is no mark for backlog",
    isUnmarked,
  ],
  [
    "/envelope",
    "must be none with the shape peer: its upstream expects plain payloads",
    isWrappedPeer,
  ],
  ["/retry/max_s", "must be at least min_s", ({ retry }) => retry.max_s < retry.min_s],
  ["/accounts", "must not give two accounts the same name upstream", isAmbiguous],
  ["/ca", "needs a url with mqtts or wss", (settings) => isBare(settings, "ca")],
  ["/cert", "needs a url with mqtts or wss", (settings) => isBare(settings, "cert")],
  ["/servername", "needs a url with mqtts or wss", (settings) => isBare(settings, "servername")],
  ["/alpn", "needs a url with mqtts or wss", (settings) => isBare(settings, "alpn")],
  ["/key", "needs a cert", ({ cert, key }) => cert === undefined && key !== undefined],
  ["/cert", "needs a key", ({ cert, key }) => cert !== undefined && key === undefined],
  ["/key", "is not the key of this cert", isForeignKey],
  ["/bounds", "latest-only is for property only", isLatestOfOther],
];

function isPasswordAlone({ protocol, username, password }: UplinkSettings): boolean {
  return protocol === 4 && password !== undefined && username === undefined;
}

function isLivePeer({ shape, order }: UplinkSettings): boolean {
  return shape === "peer" && order === "live-first";
}

function isUnmarked({ shape, order, protocol, envelope }: UplinkSettings): boolean {
  return shape === "mirror" && order === "live-first" && protocol === 4 && envelope === "none";
}

function isWrappedPeer({ shape, envelope }: UplinkSettings): boolean {
  return shape === "peer" && envelope !== "none";
}

function isAmbiguous({ accounts }: UplinkSettings): boolean {
  const upstream = Object.values(accounts);
  return new Set(upstream).size < upstream.length;
}

function isBare(settings: UplinkSettings, name: "ca" | "cert" | "servername" | "alpn"): boolean {
  return settings[name] !== undefined && !/^(mqtts|wss):/i.test(settings.url);
}

function isForeignKey({ cert, key }: UplinkSettings): boolean {
  if (cert === undefined || key === undefined) return false;
  return !new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
}

function isLatestOfOther({ bounds }: UplinkSettings): boolean {
  return UPLINK_CLASSES.some((of) => of !== "property" && bounds[of]?.rule === "latest-only");
}

function member<Name extends string>(
  name: Name,
  value: string | null | undefined,
): Partial<Readonly<Record<Name, string>>>;
function member(name: string, value: string | null | undefined): Readonly<Record<string, string>> {
  return value === undefined || value === null ? {} : { [name]: value };
}

/** A proxy given without the user that the same proxy had before, as an answer shows it. */
function keptProxy(given: string | undefined, before: string | undefined): string | undefined {
  if (given === undefined || before === undefined) return given;
  return withoutUser(before) === given ? before : given;
}

function withoutUser(proxy: string): string {
  if (!hasUser(new URL(proxy))) return proxy;
  return proxy.replace(/^([a-z0-9]+:\/\/)[^/]*@/i, "$1");
}
