import { isIP } from "node:net";
import { z } from "zod";
import { UPLINKS_SCHEMA } from "./config-uplinks.ts";
import { LIMITS } from "./limits.ts";
import { passwordFault } from "./password-policy.ts";
import { isAccountName } from "./thing/thing.ts";
import { isTopicFilter } from "./thing/topics.ts";

/** What a fault and `docs/configuration.md` say of a key, and how its environment variable reads. */
type KeyNotes = {
  readonly expected: string;
  readonly why: string;
  /** Text that is not of the kind is returned as it is: the schema then refuses it. */
  readonly fromText: (text: string) => unknown;
};
const NOTES = z.registry<KeyNotes>();

/** Every key of the configuration, its default, its bounds and the reason for it. */
const SHAPES = {
  store: {
    path: text("./data", "a path", "where everything is kept; relative to the working directory"),
    gather_ms: integer(
      0,
      100,
      8,
      "how long changes that come thick and fast wait for more, ms, where that brings more; one alone does not",
    ),
    sync_interval_ms: integer(
      0,
      10_000,
      0,
      "least time from one synced write to the next, ms; 100 or more spares an SD card; 0: none",
    ),
    quota_mb: integer(
      0,
      1_000_000,
      0,
      "MiB the store may use; beyond it new changes are refused; 0: all but a reserve of the disk",
    ),
  },
  mqtt: {
    host: host("address the MQTT listener binds to"),
    port: port(1883, "TCP port of MQTT; 0 picks a free one"),
    free_topics: flag(false, "let credentials be granted plain topics outside the gateway's own"),
    refused_filters: filters("topic filters that every SUBSCRIBE is refused (0x80)"),
  },
  http: {
    host: host("address the HTTP listener binds to"),
    port: port(8080, "TCP port of HTTP; 0 picks a free one"),
  },
  tls: {
    host: optionalHost(
      "address the TLS listeners bind to, :: for all; there are none without it or one of the ports",
    ),
    mqtt_port: optionalPort("TCP port of MQTT over TLS; 8883 where only the host is given"),
    https_port: optionalPort("TCP port of HTTPS; 8443 where only the host is given"),
    names: names("host names and addresses of the certificate besides those of the machine"),
    min_version: oneOf(["TLSv1.2", "TLSv1.3"], "TLSv1.2", "the oldest version of TLS spoken"),
    cert_file: pairedPath(
      "an own certificate, PEM, with those above it behind; in place of one by the gateway's CA",
    ),
    key_file: pairedPath("its key, PEM, without a passphrase"),
  },
  limits: limits(),
  bootstrap: {
    account: z
      .string()
      .refine(isAccountName)
      .default("site")
      .register(NOTES, {
        expected: "an account name: 1 to 64 of A-Z a-z 0-9 _ -, not a reserved one",
        why: "the account made at the first start",
        fromText: (given) => given,
      }),
    admin_token: z
      .string()
      .regex(/^slu_[A-Za-z0-9_-]{20,}$/)
      .optional()
      .register(NOTES, {
        expected: "slu_ and at least 20 of A-Z a-z 0-9 _ -",
        why: "the first admin token, used at the first start only; without it one is made",
        fromText: (given) => given,
      }),
  },
  claim: {
    password: z
      .string()
      .refine((given) => passwordFault(given, []) === undefined)
      .optional()
      .register(NOTES, {
        expected: "a password of at least 10 characters that is not a common one",
        why: "claims the box at its start, if nobody has: the password of the user admin",
        fromText: (given) => given,
      }),
    file: optionalPath("a file with such a claim, read once and moved aside: factory drop"),
  },
  admin: {
    socket: optionalPath(
      "Unix socket of the command line; without it admin.sock in the runtime directory or the store",
    ),
  },
  history: {
    property_rows: rows(1_000_000, "property values"),
    property_days: days(90, "property values"),
    event_rows: rows(200_000, "events"),
    event_days: days(365, "events"),
    action_rows: rows(100_000, "finished action requests"),
    action_days: days(90, "finished action requests"),
    data_rows: rows(200_000, "raw data objects"),
    data_days: days(90, "raw data objects"),
  },
  audit: {
    rows: integer(
      100,
      1_000_000,
      100_000,
      "records of who changed what that are kept; the oldest go first; about 250 bytes each",
    ),
    days: days(730, "records of who changed what"),
  },
  clock: {
    trust: oneOf(
      ["auto", "always", "reset"],
      "auto",
      "auto: believe the machine's time once it is set, and no leap; always: at once; reset: for one start, to forget a wrong time",
    ),
  },
  log: {
    level: oneOf(["error", "warn", "info", "debug"], "info", "the least severe records written"),
  },
};

/** The whole configuration. Whatever it parses is frozen; what is missing has its default. */
export const CONFIG_SCHEMA = z
  .strictObject({
    store: z.strictObject(SHAPES.store).readonly().prefault({}),
    mqtt: z.strictObject(SHAPES.mqtt).readonly().prefault({}),
    http: z.strictObject(SHAPES.http).readonly().prefault({}),
    tls: z.strictObject(SHAPES.tls).superRefine(requireBothFiles).readonly().prefault({}),
    limits: z.strictObject(SHAPES.limits).readonly().prefault({}),
    bootstrap: z.strictObject(SHAPES.bootstrap).readonly().prefault({}),
    claim: z.strictObject(SHAPES.claim).readonly().prefault({}),
    admin: z.strictObject(SHAPES.admin).readonly().prefault({}),
    history: z.strictObject(SHAPES.history).readonly().prefault({}),
    audit: z.strictObject(SHAPES.audit).readonly().prefault({}),
    clock: z.strictObject(SHAPES.clock).readonly().prefault({}),
    log: z.strictObject(SHAPES.log).readonly().prefault({}),
    uplink: UPLINKS_SCHEMA,
  })
  .readonly();

/** Half of a pair is none. */
function requireBothFiles(
  tls: { readonly cert_file?: string | undefined; readonly key_file?: string | undefined },
  context: z.RefinementCtx,
): void {
  const { cert_file: cert, key_file: key } = tls;
  if ((cert === undefined) === (key === undefined)) return;
  const path = [cert === undefined ? "cert_file" : "key_file"];
  context.addIssue({ code: "custom", path, message: "half of a pair" });
}

export type ConfigKey = Pick<KeyNotes, "expected" | "why" | "fromText"> & {
  readonly section: string;
  readonly key: string;
  /** The name of its environment variable. */
  readonly variable: string;
  /** `undefined`: there is none, the key is optional. */
  readonly default: unknown;
};

/** Every key there is, in the order of the sections. */
export const CONFIG_KEYS: readonly ConfigKey[] = listKeys(SHAPES);

type Shapes = Readonly<Record<string, Readonly<Record<string, z.ZodType>>>>;

function listKeys(shapes: Shapes): readonly ConfigKey[] {
  return Object.entries(shapes).flatMap(([section, shape]) =>
    Object.entries(shape).map(([key, schema]) => {
      const notes = NOTES.get(schema);
      if (notes === undefined) throw new Error(`configuration key ${section}.${key} has no notes`);
      const variable = `SLUICE_${section}__${key}`.toUpperCase();
      return { ...notes, section, key, variable, default: schema.parse(undefined) };
    }),
  );
}

function text(fallback: string, expected: string, why: string) {
  return z
    .string()
    .min(1)
    .regex(/^[^\0]*$/)
    .default(fallback)
    .register(NOTES, { expected, why, fromText: (given) => given });
}

function optionalPath(why: string) {
  return z
    .string()
    .min(1)
    .regex(/^[^\0]*$/)
    .optional()
    .register(NOTES, { expected: "a path", why, fromText: (given) => given });
}

function integer(min: number, max: number, fallback: number, why: string) {
  return z
    .int()
    .min(min)
    .max(max)
    .default(fallback)
    .register(NOTES, {
      expected: `an integer from ${min} to ${max}`,
      why,
      fromText: (given) => (/^-?\d+$/.test(given) ? Number(given) : given),
    });
}

function flag(fallback: boolean, why: string) {
  return z
    .boolean()
    .default(fallback)
    .register(NOTES, {
      expected: "true or false",
      why,
      fromText: (given) => (given === "true" ? true : given === "false" ? false : given),
    });
}

function oneOf<const Word extends string>(
  words: readonly [Word, ...Word[]],
  fallback: NoInfer<Word>,
  why: string,
) {
  return z
    .enum(words)
    .optional()
    .transform((given): Word => given ?? fallback)
    .register(NOTES, {
      expected: `one of ${words.join(", ")}`,
      why,
      fromText: (given) => given,
    });
}

/** RFC 1123 §2.1, wide enough for what resolvers take. */
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*$/;
const ALL_NUMERIC = /^[\d.]+$/;

function hostNotes(why: string): KeyNotes {
  return { expected: "an IP address or a host name", why, fromText: (given) => given };
}

function isHost(given: string): boolean {
  return isIP(given) !== 0 || (HOST_NAME.test(given) && !ALL_NUMERIC.test(given));
}

function host(why: string) {
  return z.string().refine(isHost).default("127.0.0.1").register(NOTES, hostNotes(why));
}

function optionalHost(why: string) {
  return z.string().refine(isHost).optional().register(NOTES, hostNotes(why));
}

function names(why: string) {
  return z
    .array(z.string().refine(isHost))
    .default(() => [])
    .readonly()
    .register(NOTES, {
      expected: "an array of IP addresses and host names",
      why,
      fromText: listFromText,
    });
}

function optionalPort(why: string) {
  return z
    .int()
    .min(0)
    .max(65_535)
    .optional()
    .register(NOTES, {
      expected: "an integer from 0 to 65535",
      why,
      fromText: (given) => (/^\d+$/.test(given) ? Number(given) : given),
    });
}

function pairedPath(why: string) {
  return z
    .string()
    .min(1)
    .regex(/^[^\0]*$/)
    .optional()
    .register(NOTES, {
      expected: "a path, and tls.cert_file and tls.key_file together",
      why,
      fromText: (given) => given,
    });
}

function port(fallback: number, why: string) {
  return integer(0, 65_535, fallback, why);
}

function filters(why: string) {
  return z
    .array(z.string().refine(isTopicFilter))
    .default(() => [])
    .readonly()
    .register(NOTES, {
      expected: "an array of topic filters",
      why,
      fromText: listFromText,
    });
}

/** A JSON array (a filter may hold a comma), or a list with commas between. */
function listFromText(given: string): unknown {
  if (given.trim() === "") return [];
  if (!given.trimStart().startsWith("[")) return given.split(",").map((item) => item.trim());
  try {
    return JSON.parse(given);
  } catch {
    return given;
  }
}

function rows(fallback: number, what: string) {
  return integer(1, 100_000_000, fallback, `${what} kept in all; the oldest go first`);
}

function days(fallback: number, what: string) {
  return integer(0, 36_500, fallback, `days ${what} are kept; 0: no bound by age`);
}

function limits() {
  return Object.fromEntries(
    Object.entries(LIMITS).map(([name, row]) => [
      name,
      integer(row.min, row.max, row.default, row.why),
    ]),
  );
}
