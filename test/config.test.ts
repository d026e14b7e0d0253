import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parse } from "smol-toml";
import { test } from "tap";
import { CONFIG_KEYS } from "../src/config-schema.ts";
import { loadConfig } from "../src/config.ts";
import { isLoopbackHost } from "../src/loopback.ts";
import type { Config } from "../src/config.ts";
import { LIMITS, defaultLimits } from "../src/limits.ts";

const directory = mkdtempSync(join(tmpdir(), "sluice-config-"));
process.on("exit", () => rmSync(directory, { recursive: true }));

let files = 0;
function fileOf(toml: string): string {
  const file = join(directory, `${String(++files)}.toml`);
  writeFileSync(file, toml);
  return file;
}

function configOf(toml: string, env: NodeJS.ProcessEnv = {}): Config {
  const loaded = loadConfig({ file: fileOf(toml), env });
  if (!loaded.ok) throw new Error(`refused: ${loaded.faults.join("; ")}`);
  return loaded.config;
}

function faultsOf(toml: string, env: NodeJS.ProcessEnv = {}): readonly string[] {
  const loaded = loadConfig({ file: fileOf(toml), env });
  return loaded.ok ? [] : loaded.faults;
}

const DEFAULTS = {
  store: { path: "./data", gather_ms: 8, sync_interval_ms: 0, quota_mb: 0 },
  mqtt: { host: "127.0.0.1", port: 1883, free_topics: false, refused_filters: [] },
  http: { host: "127.0.0.1", port: 8080 },
  limits: defaultLimits(),
  bootstrap: { account: "site" },
  claim: {},
  admin: {},
  history: {
    property_rows: 1_000_000,
    property_days: 90,
    event_rows: 200_000,
    event_days: 365,
    action_rows: 100_000,
    action_days: 90,
    data_rows: 200_000,
    data_days: 90,
  },
  audit: { rows: 100_000, days: 730 },
  tls: { names: [], min_version: "TLSv1.2" },
  clock: { trust: "auto" },
  log: { level: "info" },
  uplink: [],
};

await test("without a file and variables everything is at its default", (t) => {
  t.same(loadConfig({ env: { PATH: "/bin" } }), { ok: true, config: DEFAULTS });
  t.end();
});

await test("the example file holds every key at its default", (t) => {
  const file = "config/sluice.toml";
  t.same(loadConfig({ file, env: {} }), { ok: true, config: DEFAULTS });
  const text = readFileSync(file, "utf8");
  const keys = Object.entries(parse(text)).flatMap(([section, keys]) =>
    Object.keys(keys as object).map((key) => `${section}.${key}`),
  );
  const expected = CONFIG_KEYS.filter((row) => row.default !== undefined);
  t.same(
    keys,
    expected.map((row) => `${row.section}.${row.key}`),
  );
  t.match(text, /^# admin_token = /m, "what has no default stands there as a comment");
  for (const row of CONFIG_KEYS) t.ok(text.includes(`# ${row.why}\n`), `says why: ${row.key}`);
  t.end();
});

await test("a file that holds a secret and that everybody can read is named", (t) => {
  const file = fileOf("");
  const texts: readonly (readonly [toml: string, holdsSecret: boolean])[] = [
    ['[bootstrap]\nadmin_token = "slu_aaaaaaaaaaaaaaaaaaaa"', true],
    ['[[uplink]]\nname = "a"\nurl = "mqtt://host"\nusername = "u"\npassword = "p"', true],
    ['[[uplink]]\nname = "a"\nurl = "mqtt://host"', false],
    ["[mqtt]\nport = 1884", false],
  ];
  for (const [toml, holdsSecret] of texts) {
    for (const [mode, isReadable] of [
      [0o644, true],
      [0o640, false],
      [0o600, false],
    ] as const) {
      writeFileSync(file, toml);
      chmodSync(file, mode);
      const loaded = loadConfig({ file, env: {} });
      t.equal(loaded.ok, true);
      const exposed = loaded.ok ? loaded.exposedFile : undefined;
      t.equal(exposed, holdsSecret && isReadable ? file : undefined, `${toml} ${mode.toString(8)}`);
    }
  }
  t.end();
});

await test("an own certificate is given with its key, or not at all", (t) => {
  const both = { SLUICE_TLS__CERT_FILE: "/a.crt", SLUICE_TLS__KEY_FILE: "/a.key" };
  const loaded = loadConfig({ env: both });
  t.match(loaded, { ok: true, config: { tls: { cert_file: "/a.crt", key_file: "/a.key" } } });
  const fault = "expected a path, and tls.cert_file and tls.key_file together";
  for (const [variable, missing] of [
    ["SLUICE_TLS__CERT_FILE", "key_file"],
    ["SLUICE_TLS__KEY_FILE", "cert_file"],
  ] as const) {
    const half = loadConfig({ env: { [variable]: "/a.pem" } });
    t.same(half, { ok: false, faults: [`tls.${missing}: ${fault}`] });
  }
  t.end();
});

await test("every key can be given in the file and by its variable, and the variable wins", (t) => {
  const cases: readonly (readonly [string, string, string, unknown])[] = [
    ["store.path", '"/srv/a"', "/srv/b", "/srv/b"],
    ["store.gather_ms", "10", "20", 20],
    ["store.sync_interval_ms", "10", "20", 20],
    ["store.quota_mb", "10", "20", 20],
    ["mqtt.host", '"::1"', "0.0.0.0", "0.0.0.0"],
    ["tls.host", '"::"', "192.0.2.1", "192.0.2.1"],
    ["tls.mqtt_port", "1", "0", 0],
    ["tls.https_port", "1", "0", 0],
    ["tls.names", '["a.example"]', "b.example,192.0.2.9", ["b.example", "192.0.2.9"]],
    ["tls.min_version", '"TLSv1.2"', "TLSv1.3", "TLSv1.3"],
    ["mqtt.port", "1", "0", 0],
    ["mqtt.free_topics", "false", "true", true],
    ["mqtt.refused_filters", '["a"]', '["b/#", "c,d"]', ["b/#", "c,d"]],
    ["mqtt.refused_filters", '["a"]', "b/#, +/c", ["b/#", "+/c"]],
    ["mqtt.refused_filters", '["a"]', "", []],
    ["http.host", '"gateway.local"', "localhost", "localhost"],
    ["http.port", "1", "65535", 65_535],
    ["bootstrap.account", '"plant"', "plant-2", "plant-2"],
    [
      "bootstrap.admin_token",
      '"slu_aaaaaaaaaaaaaaaaaaaa"',
      "slu_bbbbbbbbbbbbbbbbbb-_",
      "slu_bbbbbbbbbbbbbbbbbb-_",
    ],
    ["audit.rows", "100", "1000000", 1_000_000],
    ["audit.days", "0", "36500", 36_500],
    ["claim.password", '"kettle-orbit-41"', "orbit 41 kettle", "orbit 41 kettle"],
    ["claim.file", '"/srv/claim.json"', "drop.json", "drop.json"],
    ["admin.socket", '"/run/a.sock"', "b.sock", "b.sock"],
    ["clock.trust", '"auto"', "always", "always"],
    ["log.level", '"error"', "debug", "debug"],
    ...Object.entries(LIMITS).map(
      ([key, row]) => [`limits.${key}`, String(row.min), String(row.max), row.max] as const,
    ),
    ...Object.keys(DEFAULTS.history).map(
      (key) => [`history.${key}`, "2", "36500", 36_500] as const,
    ),
  ];
  // Half of a pair is a fault: they have a test of their own.
  for (const row of CONFIG_KEYS.filter(({ key }) => !/^(cert|key)_file$/.test(key))) {
    t.ok(
      cases.some(([path]) => path === `${row.section}.${row.key}`),
      `${row.section}.${row.key} has a case`,
    );
  }
  for (const [path, inFile, inVariable, expected] of cases) {
    const [section = "", key = ""] = path.split(".");
    const valueOf = (config: Config): unknown =>
      (config as unknown as Record<string, Record<string, unknown>>)[section]?.[key];
    const toml = `[${section}]\n${key} = ${inFile}\n`;
    t.same(valueOf(configOf(toml)), (parse(toml)[section] as Record<string, unknown>)[key]);
    const variable = `SLUICE_${section}__${key}`.toUpperCase();
    t.same(valueOf(configOf(toml, { [variable]: inVariable })), expected, variable);
    t.same(valueOf(configOf("", { [variable]: inVariable })), expected, `${variable}, no section`);
  }
  t.end();
});

await test("a value that is not expected is a fault at its path", (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ["[mqtt]\nport = 65536", "mqtt.port: expected an integer from 0 to 65535"],
    ["[mqtt]\nport = -1", "mqtt.port: expected an integer from 0 to 65535"],
    ["[mqtt]\nport = 1.5", "mqtt.port: expected an integer from 0 to 65535"],
    ['[mqtt]\nport = "1883"', "mqtt.port: expected an integer from 0 to 65535"],
    ["[mqtt]\nport = nan", "mqtt.port: expected an integer from 0 to 65535"],
    ['[mqtt]\nhost = ""', "mqtt.host: expected an IP address or a host name"],
    ['[mqtt]\nhost = "300.1.1.1"', "mqtt.host: expected an IP address or a host name"],
    ['[mqtt]\nhost = "a b"', "mqtt.host: expected an IP address or a host name"],
    ['[mqtt]\nhost = "127.0.0.1:80"', "mqtt.host: expected an IP address or a host name"],
    ['[mqtt]\nfree_topics = "yes"', "mqtt.free_topics: expected true or false"],
    ['[mqtt]\nrefused_filters = "a"', "mqtt.refused_filters: expected an array of topic filters"],
    [
      '[mqtt]\nrefused_filters = ["a", "#/b"]',
      "mqtt.refused_filters.1: expected an array of topic filters",
    ],
    ['[store]\npath = ""', "store.path: expected a path"],
    ["[store]\ngather_ms = 101", "store.gather_ms: expected an integer from 0 to 100"],
    ["[limits]\ntopic_levels = 101", "limits.topic_levels: expected an integer from 8 to 100"],
    ["[history]\nevent_rows = 0", "history.event_rows: expected an integer from 1 to 100000000"],
    ["[history]\nevent_days = 36501", "history.event_days: expected an integer from 0 to 36500"],
    ['[clock]\ntrust = "never"', "clock.trust: expected one of auto, always, reset"],
    ['[log]\nlevel = "trace"', "log.level: expected one of error, warn, info, debug"],
    ["store = 1", "store: expected a table"],
    ["[[mqtt]]\nport = 1", "mqtt: expected a table"],
    [
      "[store]\nfolder = 1",
      "store.folder: expected one of path, gather_ms, sync_interval_ms, quota_mb",
    ],
    [
      '[store]\n"__proto__" = 1',
      "store.__proto__: expected one of path, gather_ms, sync_interval_ms, quota_mb",
    ],
    [
      "[stor]",
      "stor: expected one of store, mqtt, http, tls, limits, bootstrap, claim, admin, history, audit, clock, log, uplink",
    ],
  ];
  for (const [toml, fault] of cases) t.same(faultsOf(toml), [fault], toml);
  for (const name of ["", "-a", "a.b", "things", "é", "a".repeat(65)]) {
    const faults = faultsOf(`[bootstrap]\naccount = "${name}"`);
    t.match(faults, [/^bootstrap\.account: expected an account name/], `account "${name}"`);
  }
  t.end();
});

await test("all faults of the file and of the variables are named at once", (t) => {
  const faults = faultsOf('[mqtt]\nport = "x"\nprot = 1\n[http]\nport = 1\n[log]\nlevel = 3\n', {
    SLUICE_HTTP__PORT: "http",
    SLUICE_HTTP__PROT: "1",
    SLUICE_NOWHERE__PORT: "1",
    SLUICE_mqtt__port: "1",
    SLUICE_HOME: "/not/ours/to/judge",
    OTHER__PORT: "1",
  });
  t.same(
    new Set(faults),
    new Set([
      "SLUICE_HTTP__PROT: expected SLUICE_<SECTION>__<KEY> of a known key",
      "SLUICE_NOWHERE__PORT: expected SLUICE_<SECTION>__<KEY> of a known key",
      "SLUICE_mqtt__port: expected SLUICE_<SECTION>__<KEY> of a known key",
      "mqtt.port: expected an integer from 0 to 65535",
      "mqtt.prot: expected one of host, port, free_topics, refused_filters",
      "http.port: expected an integer from 0 to 65535 (in SLUICE_HTTP__PORT)",
      "log.level: expected one of error, warn, info, debug",
    ]),
  );
  t.end();
});

await test("no fault shows the admin token, well formed or not", (t) => {
  const secret = "slu_Xy7secret!";
  for (const toml of [
    `[bootstrap]\nadmin_token = "${secret}"`,
    `[bootstrap]\nadmin_token = "${secret}`,
    `[bootstrap]\nadmin_token = ${secret}`,
    `[bootstrap]\nadmin_token = ["${secret}"]`,
    `[bootstrap]\nadmin_token = "${secret}"\nadmin_token = 2`,
    `[bootstrap]\nadmin_token = "slu_Xy7secretsecretsecret"\n[mqtt`,
    `bootstrap = "${secret}"`,
  ]) {
    const faults = faultsOf(toml);
    t.not(faults.length, 0, "it is refused");
    t.notMatch(faults.join("\n"), /secret/);
  }
  t.match(faultsOf("", { SLUICE_BOOTSTRAP__ADMIN_TOKEN: secret }), [
    "bootstrap.admin_token: expected slu_ and at least 20 of A-Z a-z 0-9 _ - (in SLUICE_BOOTSTRAP__ADMIN_TOKEN)",
  ]);
  t.end();
});

await test("a file that is not there, or not TOML, is a fault that names it", (t) => {
  const absent = join(directory, "absent.toml");
  t.same(loadConfig({ file: absent, env: {} }), {
    ok: false,
    faults: [`${absent}: expected a file that can be read (ENOENT)`],
  });
  const broken = fileOf("[mqtt]\nport = = 1\n");
  const loaded = loadConfig({ file: broken, env: {} });
  t.match(loaded, { ok: false, faults: [/\.toml:2:\d+: expected TOML$/] });
  t.end();
});

await test("a service reads sluice.toml of its configuration directory, if there is one", (t) => {
  const home = mkdtempSync(join(directory, "etc-"));
  const env = { CONFIGURATION_DIRECTORY: `${home}:/etc/other` };
  const portOf = (loaded: ReturnType<typeof loadConfig>): number | undefined =>
    loaded.ok ? loaded.config.mqtt.port : undefined;
  t.equal(portOf(loadConfig({ env })), 1883);
  writeFileSync(join(home, "sluice.toml"), "[mqtt]\nport = 7");
  t.equal(portOf(loadConfig({ env })), 7);
  t.equal(portOf(loadConfig({ env, file: fileOf("") })), 1883, "--config goes first");
  t.end();
});

await test("nothing can change a configuration that was loaded", (t) => {
  const config = configOf("[mqtt]\nrefused_filters = ['a']");
  for (const part of [config, ...Object.values(config), config.mqtt.refused_filters]) {
    t.ok(Object.isFrozen(part));
  }
  t.ok(Object.isFrozen(configOf("").mqtt.refused_filters));
  t.end();
});

await test("no environment makes loading throw", (t) => {
  const variable = fc.constantFrom(...CONFIG_KEYS.map((row) => row.variable), "SLUICE_A__B");
  fc.assert(
    fc.property(fc.dictionary(variable, fc.string()), (env) => {
      const loaded = loadConfig({ env });
      return loaded.ok || loaded.faults.every((fault) => fault.includes(": expected "));
    }),
    { seed: 20_250_601 },
  );
  t.end();
});

await test("only hosts of this machine are loopback", (t) => {
  const yes = ["127.0.0.1", "127.255.0.9", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"];
  for (const host of [...yes, "localhost", "LOCALHOST"]) t.ok(isLoopbackHost(host), host);
  const no = ["0.0.0.0", "::", "192.168.1.1", "128.0.0.1", "::2", "::ffff:10.0.0.1", "fe80::1"];
  for (const host of [...no, "gateway.local", "localhost.example", ""]) {
    t.notOk(isLoopbackHost(host), host);
  }
  t.end();
});
