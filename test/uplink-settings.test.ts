import { createPrivateKey } from "node:crypto";
import { test } from "tap";
import { parseBody } from "../src/http/body.ts";
import { GatewayError } from "../src/errors.ts";
import { CHANGE_CLASSES } from "../src/store/keys.ts";
import type { JsonObject } from "../src/thing/json.ts";
import { GIVEN_UPLINK, isUplinkName, UPLINK_CLASSES } from "../src/uplink-members.ts";
import { completeUplink, shownSettings, type UplinkSettings } from "../src/uplink-settings.ts";
import { Authority } from "./uplink/certificates.ts";

const URL = "mqtt://upstream";

/** Pointers of the faults of an uplink with these members; empty: it is taken. */
function faultsOf(given: JsonObject, before?: UplinkSettings): readonly string[] {
  try {
    const read = completeUplink(parseBody(GIVEN_UPLINK, { url: URL, ...given }), before);
    return read.ok ? [] : read.faults.map(({ pointer }) => pointer);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return error.faults.map(({ pointer }) => pointer);
  }
}

function settingsOf(given: JsonObject, before?: UplinkSettings): UplinkSettings {
  const read = completeUplink(parseBody(GIVEN_UPLINK, { url: URL, ...given }), before);
  if (!read.ok) throw new Error(JSON.stringify(read.faults));
  return read.settings;
}

await test("an uplink needs a url, and the rest has its default", (t) => {
  t.same(settingsOf({}), {
    url: URL,
    shape: "mirror",
    order: "strict",
    envelope: "none",
    prefix: "",
    accounts: {},
    rate: {},
    protocol: 5,
    filter: {},
    window: 500,
    retry: { min_s: 1, max_s: 60 },
    bounds: {},
    session_expiry_s: 604_800,
  });
  t.same(
    settingsOf(JSON.parse(JSON.stringify(settingsOf({}))) as JsonObject),
    settingsOf({}),
    "kept",
  );
  t.end();
});

const URLS: readonly (readonly [url: string, isTaken: boolean])[] = [
  ["mqtt://host", true],
  ["mqtt://host:1883", true],
  ["mqtt://host/", true],
  ["MQTTS://Host.Example:8883", true],
  ["mqtt://[2001:db8::1]:1883", true],
  ["mqtt://192.0.2.1", true],
  ["ws://host/mqtt?tenant=1", true],
  ["wss://host:443/mqtt", true],
  ["mqtt://", false],
  ["mqtt:host", false],
  ["mqtt:///host", false],
  ["host:1883", false],
  ["http://host", false],
  ["tcp://host:1883", false],
  ["mqtt://host:0", false],
  ["mqtt://host:65536", false],
  ["mqtt://ho%20st", false],
  ["mqtt://1.2.3", false],
  ["mqtt://host/topic", false],
  ["mqtt://host?x=1", false],
  ["ws://host/mqtt#part", false],
  [`ws://host/${"x".repeat(2048)}`, false],
  ["mqtt://127.0.0.1", true],
  ["mqtt://169.254.169.254", false],
  ["wss://[fd00:ec2::254]/latest", false],
  ["mqtt://[::ffff:169.254.169.254]", false],
  ["mqtt://0.0.0.0", false],
  ["mqtt://[ff02::1]", false],
  ["", false],
];

await test("a url leads to a host by mqtt, mqtts, ws or wss", (t) => {
  for (const [url, isTaken] of URLS) t.same(faultsOf({ url }), isTaken ? [] : ["/url"], url);
  t.end();
});

await test("a user in the url is refused, with what to do instead", (t) => {
  for (const url of ["mqtt://u:secret@host", "mqtt://u@host", "wss://:secret@host/mqtt"]) {
    try {
      settingsOf({ url });
      t.fail(url);
    } catch (error) {
      const { message } = error as Error;
      t.match(message, /give username and password instead/, url);
      t.notMatch(message, /secret/, "which is not told again");
    }
  }
  t.end();
});

/** Members, and the pointers of their faults. */
const MEMBERS: readonly (readonly [given: JsonObject, pointers: readonly string[]])[] = [
  [{ nonsense: 1 }, ["/nonsense"]],
  [{ rate: { messages: 1 } }, ["/rate/messages"]],
  [{ bounds: { property: { row: 1 } } }, ["/bounds/property/row"]],
  [{ bounds: { properties: {} } }, ["/bounds/properties"]],
  [{ shape: "mirrored" }, ["/shape"]],
  [{ order: "newest" }, ["/order"]],
  [{ envelope: "json" }, ["/envelope"]],
  [{ protocol: 3 }, ["/protocol"]],
  [{ protocol: "5" }, ["/protocol"]],
  [{ username: "", password: "x" }, ["/username"]],
  [{ username: "a\u0000b" }, ["/username"]],
  [{ username: "u", password: "p" }, []],
  [{ password: "token" }, []],
  [{ password: "token", protocol: 4 }, ["/password"]],
  [{ client_id: "gateway 7" }, []],
  [{ prefix: "plants/7/" }, []],
  [{ prefix: "plants/7" }, ["/prefix"]],
  [{ prefix: "plants/+/" }, ["/prefix"]],
  [{ prefix: `${"x".repeat(256)}/` }, ["/prefix"]],
  [{ accounts: { site: "plant-7" } }, []],
  [{ accounts: { site: "a/b" } }, ["/accounts/site"]],
  [{ accounts: { a: "x", b: "x" } }, ["/accounts"]],
  [{ rate: { messages_per_s: 0 } }, ["/rate/messages_per_s"]],
  [{ rate: { messages_per_s: 0.5, bytes_per_s: 1000 } }, []],
  [{ window: 0 }, ["/window"]],
  [{ window: 65_536 }, ["/window"]],
  [{ window: 1.5 }, ["/window"]],
  [{ retry: { min_s: 5 } }, []],
  [{ retry: { max_s: 121 } }, ["/retry/max_s"]],
  [{ retry: { min_s: 30, max_s: 20 } }, ["/retry/max_s"]],
  [{ session_expiry_s: 1 }, ["/session_expiry_s"]],
  [{ filter: { things: ["site/*", "hall/boiler:1"] } }, []],
  [{ filter: { things: ["boiler"] } }, ["/filter/things/0"]],
  [{ filter: { things: ["site/a/b"] } }, ["/filter/things/0"]],
  [{ filter: { things: [] } }, ["/filter/things"]],
  [{ filter: { classes: ["property", "events"] } }, ["/filter/classes/1"]],
  [{ bounds: { property: { rows: 10, rule: "latest-only" }, event: { age_s: 60 } } }, []],
  [{ bounds: { event: { rule: "latest-only" } } }, ["/bounds"]],
  [{ bounds: { event: { bytes: 0 } } }, ["/bounds/event/bytes"]],
  [{ alpn: "mqtt", url: "mqtts://host" }, []],
  [{ alpn: ["a", "b"], url: "mqtts://host" }, []],
  [{ alpn: [], url: "mqtts://host" }, ["/alpn"]],
  [{ servername: "broker.example", url: "wss://host" }, []],
  [{ servername: "10.0.0.1", url: "wss://host" }, ["/servername"]],
  [{ servername: "broker.example", alpn: "mqtt" }, ["/servername", "/alpn"]],
  [{ proxy: "http://proxy:3128" }, []],
  [{ proxy: "socks5://user:secret@proxy:1080" }, []],
  [{ proxy: "ftp://proxy" }, ["/proxy"]],
  [{ proxy: "http://proxy/path" }, ["/proxy"]],
  [{ shape: "peer", order: "live-first" }, ["/order"]],
  [{ shape: "peer", envelope: "cloudevents" }, ["/envelope"]],
  [{ order: "live-first" }, []],
  [{ order: "live-first", protocol: 4 }, ["/order"]],
  [{ order: "live-first", protocol: 4, envelope: "cloudevents" }, []],
];

await test("a member that is not known, or not right, is pointed at", (t) => {
  for (const [given, pointers] of MEMBERS) t.same(faultsOf(given), pointers, JSON.stringify(given));
  t.end();
});

await test("certificates and keys are looked at when they are given", (t) => {
  const folder = t.testdir();
  const authority = new Authority(folder, "authority");
  const { cert, key } = authority.issue("gateway");
  const other = authority.issue("other");
  const passphrase = { cipher: "aes-128-cbc", passphrase: "x", type: "pkcs8", format: "pem" };
  const locked = createPrivateKey(key).export(passphrase as never) as unknown as string;
  const url = "mqtts://host";
  const rows: readonly (readonly [given: JsonObject, pointers: readonly string[]])[] = [
    [{ url, ca: authority.own.cert, cert, key }, []],
    [{ url, ca: authority.own.cert + other.cert }, []],
    [{ url, ca: "/etc/ssl/ca.pem" }, ["/ca"]],
    [{ url, ca: key }, ["/ca"]],
    [{ url, ca: cert.replace(/M/g, "A") }, ["/ca"]],
    [{ url, cert }, ["/cert"]],
    [{ url, key }, ["/key"]],
    [{ url, cert, key: cert }, ["/key"]],
    [{ url, cert, key: locked }, ["/key"]],
    [{ url, cert, key: other.key }, ["/key"]],
    [{ ca: authority.own.cert, cert, key }, ["/ca", "/cert"]],
  ];
  for (const [index, [given, pointers]] of rows.entries()) {
    t.same(faultsOf(given), pointers, `row ${index}`);
  }
  t.end();
});

await test("secrets that are left out are kept, and null removes them", (t) => {
  const { cert, key } = new Authority(t.testdir(), "own").own;
  const url = "mqtts://host";
  const tls = { url, cert };
  const before = settingsOf({
    ...tls,
    key,
    username: "u",
    password: "secret",
    proxy: "http://me:secret@proxy:3128",
  });
  const kept = settingsOf({ ...tls, username: "v", proxy: "http://proxy:3128" }, before);
  t.match(kept, { username: "v", password: "secret", key, proxy: before.proxy });
  t.equal(settingsOf({ ...tls, password: "new" }, before).password, "new");
  t.notOk("password" in settingsOf({ ...tls, password: null }, before));
  t.notOk("key" in settingsOf({ url }, before), "a key goes with its certificate");
  t.same(faultsOf({ ...tls, key: null }, before), ["/cert"]);
  const elsewhere = settingsOf({ url, proxy: "http://other:3128" }, before);
  t.equal(elsewhere.proxy, "http://other:3128", "another proxy gets no password of this one");
  t.notOk("proxy" in settingsOf({ url }, before));
  t.end();
});

await test("no secret is shown", (t) => {
  const { cert, key } = new Authority(t.testdir(), "own").own;
  const shown = shownSettings(
    settingsOf({
      ...{ url: "mqtts://host", cert, key, username: "u", password: "secret" },
      proxy: "socks5://me:secret@proxy:1080",
    }),
  );
  t.notMatch(JSON.stringify(shown), /secret|PRIVATE/);
  t.match(shown, { username: "u", cert, proxy: "socks5://proxy:1080" });
  t.end();
});

await test("an uplink's name can stand in a path", (t) => {
  const names = ["a", "A-1_b", "x".repeat(64), "", "x".repeat(65), "-a", "a/b", "a b", "ä", "a.b"];
  t.same(
    names.map(isUplinkName),
    names.map((_, index) => index < 3),
  );
  t.end();
});

await test("the classes are those of changes", (t) => {
  t.same([...UPLINK_CLASSES].sort(), [...CHANGE_CLASSES].sort());
  t.end();
});
