import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { z } from "zod";
import { FIXED_LIMITS } from "./limits.ts";
import { isAccountName, isThingId } from "./thing/thing.ts";
import { isTopicName } from "./thing/topics.ts";
import { upstreamAddressFault } from "./upstream-addresses.ts";

/** What an uplink can be told to send; the words of `ChangeClass`. */
export const UPLINK_CLASSES = ["property", "action", "event", "data", "thing"] as const;
export type UplinkClass = (typeof UPLINK_CLASSES)[number];

/** What is kept when a class is full: the oldest, the newest, or the latest value of each property. */
const DROP_RULES = ["keep-oldest", "keep-newest", "latest-only"] as const;

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
export const UPLINK_NAME = "must be 1 to 64 of A-Z a-z 0-9 _ -, the first a letter or a digit";
export const isUplinkName = (name: string): boolean => NAME.test(name);

/** What a fault and `docs/uplink.md` say of a member. */
type MemberNotes = { readonly expected: string; readonly why: string };
const NOTES = z.registry<MemberNotes>();

const OBJECT = "must be an object";
/** A UTF-8 string's length prefix has two bytes, MQTT 3.1.1 §1.5.3. */
const TEXT_BYTES_MAX = 65_535;
const PEM_LENGTH_MAX = FIXED_LIMITS.uplinkPemLengthMax;

const RATE = {
  messages_per_s: number(0.1, 1e6, "messages a second, at the most").exactOptional(),
  bytes_per_s: whole(100, 1e9, "bytes of payload a second, at the most").exactOptional(),
};

const RETRY = {
  min_s: number(0.1, 120, "the first wait is random and at most this long").default(1),
  max_s: number(0.1, 120, "the bound doubles with each try that fails, up to this").default(60),
};

const FILTER = {
  things: listOf(thingFilter(), {
    expected: "an array of {account}/{thing}; the thing is an id, a uid or *",
    why: "only these Things; without: all",
  }).exactOptional(),
  classes: listOf(z.enum(UPLINK_CLASSES, `must be one of ${UPLINK_CLASSES.join(", ")}`), {
    expected: `an array of ${UPLINK_CLASSES.join(", ")}`,
    why: "only these classes; thing: Thing Descriptions and deletions; without: all",
  }).exactOptional(),
};

const BOUND = {
  bytes: whole(
    4096,
    1e12,
    "bytes that may wait; without: the default of the class",
  ).exactOptional(),
  rows: whole(1, 1e9, "changes that may wait; without: the default of the class").exactOptional(),
  age_s: whole(1, 1e9, "how long one may wait, s; counted while the gateway runs").exactOptional(),
  counts_time_off: z
    .boolean("must be true or false")
    .register(NOTES, { expected: "true or false", why: "whether its age grows without power, too" })
    .exactOptional(),
  rule: oneOf(
    DROP_RULES,
    "what is kept when there is no more room; without: the default of the class",
  ).exactOptional(),
};
const bound = z.strictObject(BOUND, OBJECT).readonly().exactOptional();

const MEMBERS = {
  url: upstreamUrl(),
  username: mqttText("user name of the CONNECT").exactOptional(),
  password: mqttText("its password; a PUT without it keeps it, null removes it")
    .nullable()
    .exactOptional(),
  client_id: mqttText("client id; without: sluice-, the gateway's id and the name").exactOptional(),
  shape: oneOf(["mirror", "peer"], "mirror: as on the LAN; peer: upstream is a Sluice too").default(
    "mirror",
  ),
  order: oneOf(
    ["strict", "live-first"],
    "when the line is back: all in order, or what is new beside the backlog",
  ).default("strict"),
  envelope: oneOf(
    ["none", "cloudevents"],
    "cloudevents: each payload inside a CloudEvents 1.0 JSON object",
  ).default("none"),
  prefix: text(isPrefix, {
    expected: 'a text without + and # that ends in "/", of at most 256 bytes',
    why: "stands in front of every topic, both ways",
  }).default(""),
  accounts: z
    .record(z.string(), accountName(), OBJECT)
    .readonly()
    .register(NOTES, {
      expected: "an object {account: account upstream}",
      why: "what accounts are called upstream; others keep their name",
    })
    .default({}),
  rate: z.strictObject(RATE, OBJECT).readonly().default({}),
  protocol: z
    .union([z.literal(4), z.literal(5)], "must be 4 or 5")
    .register(NOTES, { expected: "4 or 5", why: "MQTT 3.1.1 or MQTT 5" })
    .default(5),
  ca: pem(
    "certificates in PEM",
    "trusted in place of the system's authorities",
    isChain,
  ).exactOptional(),
  cert: pem(
    "certificates in PEM",
    "certificate of the client, its own first",
    isChain,
  ).exactOptional(),
  key: text(isKey, {
    expected: "a private key in PEM without a passphrase",
    why: "its key; kept and removed as the password is",
  })
    .nullable()
    .exactOptional(),
  servername: text(isHostName, {
    expected: "a host name",
    why: "name asked for (SNI) and expected in upstream's certificate; without: that of the url",
  }).exactOptional(),
  alpn: alpn().exactOptional(),
  proxy: proxyUrl().exactOptional(),
  filter: z.strictObject(FILTER, OBJECT).readonly().default({}),
  window: whole(1, 65_535, "publishes that wait for their acknowledgement").default(500),
  retry: z.strictObject(RETRY, OBJECT).readonly().prefault({}),
  bounds: z
    .strictObject(
      { property: bound, action: bound, event: bound, data: bound, thing: bound },
      OBJECT,
    )
    .readonly()
    .default({}),
  session_expiry_s: whole(
    60,
    4_294_967_295,
    "how long upstream keeps our session while the line is down, s; protocol 5",
  ).default(604_800),
};

/** The members as they are given, each looked at for itself: `completeUplink` does the rest. */
export const GIVEN_UPLINK = z.strictObject(MEMBERS, OBJECT).readonly();
export type GivenUplink = z.output<typeof GIVEN_UPLINK>;

/** As it stands in the file: `[[uplink]]` with a name. */
export const NAMED_UPLINK = z
  .strictObject(
    { ...MEMBERS, name: z.string(UPLINK_NAME).refine(isUplinkName, UPLINK_NAME) },
    OBJECT,
  )
  .readonly();

export type UplinkMember = MemberNotes & {
  /** `url`, `retry.min_s`, `bounds.<class>.rows`. */
  readonly name: string;
  /** `undefined`: there is none. */
  readonly default: unknown;
};

/** Every member there is, in the order of the shape: `docs/uplink.md` has a row for each (tested). */
export const UPLINK_MEMBERS: readonly UplinkMember[] = [
  ...rowsOf("", MEMBERS),
  ...rowsOf("rate.", RATE),
  ...rowsOf("retry.", RETRY),
  ...rowsOf("filter.", FILTER),
  ...rowsOf("bounds.<class>.", BOUND),
];

/** An object of members is listed member by member. */
function rowsOf(prefix: string, shape: Readonly<Record<string, z.ZodType>>): UplinkMember[] {
  return Object.entries(shape).flatMap(([name, schema]) => {
    const notes = notesOf(schema);
    if (notes === undefined) return [];
    const parsed = schema.safeParse(undefined);
    return [{ ...notes, name: prefix + name, default: parsed.success ? parsed.data : undefined }];
  });
}

/** They are registered with the innermost. */
function notesOf(schema: z.core.$ZodType): MemberNotes | undefined {
  const notes = NOTES.get(schema);
  if (notes !== undefined) return notes;
  const isWrapped =
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodExactOptional ||
    schema instanceof z.ZodNullable;
  return isWrapped ? notesOf(schema.unwrap()) : undefined;
}

function text(isRight: (given: string) => boolean, notes: MemberNotes) {
  const message = `must be ${notes.expected}`;
  return z.string(message).refine(isRight, message).register(NOTES, notes);
}

/** [MQTT-1.5.3-1, -2]; an empty one says nothing. */
function mqttText(why: string) {
  return text(
    (given) =>
      given !== "" &&
      given.isWellFormed() &&
      !given.includes("\0") &&
      Buffer.byteLength(given) <= TEXT_BYTES_MAX,
    { expected: "a text of 1 to 65535 bytes", why },
  );
}

function number(min: number, max: number, why: string) {
  const notes = { expected: `a number from ${min} to ${max}`, why };
  const message = `must be ${notes.expected}`;
  return z.number(message).min(min, message).max(max, message).register(NOTES, notes);
}

function whole(min: number, max: number, why: string) {
  const notes = { expected: `an integer from ${min} to ${max}`, why };
  const message = `must be ${notes.expected}`;
  return z.int(message).min(min, message).max(max, message).register(NOTES, notes);
}

function oneOf<const Word extends string>(words: readonly [Word, ...Word[]], why: string) {
  const expected = `one of ${words.join(", ")}`;
  return z.enum(words, `must be ${expected}`).register(NOTES, { expected, why });
}

/** Of what, an item that is not of it is told, too. */
function listOf<Item extends z.ZodType<string, string>>(item: Item, notes: MemberNotes) {
  const message = `must be ${notes.expected}, not empty`;
  return z.array(item, message).min(1, message).readonly().register(NOTES, notes);
}

function accountName() {
  const message = "must be the name of an account";
  return z.string(message).refine(isAccountName, message);
}

function thingFilter() {
  const message = "must be {account}/{thing}; the thing is an id, a uid or *";
  return z.string(message).refine((given) => {
    const [account = "", thing = "", ...more] = given.split("/");
    return isAccountName(account) && (thing === "*" || isThingId(thing)) && more.length === 0;
  }, message);
}

function isPrefix(given: string): boolean {
  if (given === "") return true;
  return (
    isTopicName(given) &&
    given.endsWith("/") &&
    Buffer.byteLength(given) <= FIXED_LIMITS.uplinkPrefixBytesMax
  );
}

function pem(expected: string, why: string, isRight: (given: string) => boolean) {
  return text(isRight, { expected, why });
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function isChain(given: string): boolean {
  if (given.length > PEM_LENGTH_MAX) return false;
  const blocks = given.match(CERTIFICATE) ?? [];
  return blocks.length > 0 && blocks.every((block) => isParsed(() => new X509Certificate(block)));
}

function isKey(given: string): boolean {
  return given.length <= PEM_LENGTH_MAX && isParsed(() => createPrivateKey(given));
}

function isParsed(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch {
    return false;
  }
}

/** RFC 7301 §3.1: 1 to 255 bytes each. */
function alpn() {
  const expected = "a protocol name of 1 to 255 bytes, or an array of them";
  const message = `must be ${expected}`;
  const protocol = z
    .string(message)
    .refine((given) => given !== "" && Buffer.byteLength(given) <= 255, message);
  return z
    .union([protocol, z.array(protocol).min(1).readonly()], message)
    .transform((given): readonly string[] => (typeof given === "string" ? [given] : given))
    .register(NOTES, { expected, why: "protocols offered in the TLS handshake" });
}

function upstreamUrl() {
  const expected = "an mqtt, mqtts, ws or wss URL with a host, as mqtt://host:1883";
  const why = "where upstream is; ports, if left out: 1883, 8883, 80, 443";
  return z
    .string(`must be ${expected}`)
    .superRefine((given, context) => {
      const url = parsedUrl(given);
      const isOfMqtt = /^mqtts?:$/.test(url?.protocol ?? "");
      if (url === undefined || (!isOfMqtt && !/^wss?:$/.test(url.protocol))) {
        context.addIssue(`must be ${expected}`);
      } else if (hasUser(url)) {
        context.addIssue("must not hold a user or a password: give username and password instead");
      } else if (isOfMqtt && `${url.pathname}${url.search}`.length > 1) {
        context.addIssue("must have no path with mqtt and mqtts: for topics there is prefix");
      } else if (url.hash !== "") {
        context.addIssue("must have no fragment");
      } else {
        const fault = addressFault(url);
        if (fault !== undefined) context.addIssue(`must lead to a broker: ${fault}`);
      }
    })
    .register(NOTES, { expected, why });
}

function proxyUrl() {
  const expected = "an http, socks4 or socks5 URL, as http://user:password@host:3128";
  const why =
    "the way to upstream; its user and password are kept and never shown, as the password";
  return text(
    (given) => {
      const url = parsedUrl(given);
      if (url === undefined || !/^(http|socks4|socks5):$/.test(url.protocol)) return false;
      if (addressFault(url) !== undefined) return false;
      return `${url.pathname}${url.search}${url.hash}`.length <= 1;
    },
    { expected, why },
  );
}

/** `undefined`: not a URL with a host that can be connected to. */
function parsedUrl(given: string): URL | undefined {
  if (given.length > FIXED_LIMITS.uplinkUrlLengthMax || !/^[a-z0-9]+:\/\//i.test(given))
    return undefined;
  const url = URL.canParse(given) ? new URL(given) : undefined;
  return url !== undefined && isHost(url.hostname) && url.port !== "0" ? url : undefined;
}

export function hasUser(url: URL): boolean {
  return url.username !== "" || url.password !== "";
}

/** RFC 1123 §2.1, wide enough for what resolvers take. */
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?$/;
const ALL_NUMERIC = /^[\d.]+$/;

function isHostName(given: string): boolean {
  return HOST_NAME.test(given) && !ALL_NUMERIC.test(given);
}

function isHost(host: string): boolean {
  return isIP(unbracketed(host)) !== 0 || isHostName(host);
}

/** Of an IP address; what a name leads to is looked at when it is connected to. */
function addressFault({ hostname }: URL): string | undefined {
  const address = unbracketed(hostname);
  const fault = upstreamAddressFault(address);
  return fault === undefined ? undefined : `${address} ${fault}`;
}

function unbracketed(host: string): string {
  return host.startsWith("[") ? host.slice(1, -1) : host;
}
