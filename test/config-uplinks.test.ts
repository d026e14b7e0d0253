import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "tap";
import { loadConfig, type LoadedConfig } from "../src/config.ts";

const directory = mkdtempSync(join(tmpdir(), "sluice-config-uplinks-"));
process.on("exit", () => rmSync(directory, { recursive: true }));

function load(toml: string, env: NodeJS.ProcessEnv = {}): LoadedConfig {
  const file = join(directory, "sluice.toml");
  writeFileSync(file, toml);
  return loadConfig({ file, env });
}

function faultsOf(toml: string, env?: NodeJS.ProcessEnv): readonly string[] {
  const loaded = load(toml, env);
  return loaded.ok ? [] : loaded.faults;
}

await test("uplinks stand in the file with the members of the API", (t) => {
  const loaded = load(`
    [[uplink]]
    name = "plant"
    url = "mqtt://broker.example"
    username = "gateway-7"
    password = "secret"
    accounts = { site = "plant-7" }
    retry = { max_s = 30 }

    [uplink.bounds.property]
    rule = "latest-only"

    [[uplink]]
    name = "cloud"
    url = "wss://cloud.example/mqtt"
    shape = "peer"
  `);
  const uplinks = loaded.ok ? loaded.config.uplink : [];
  t.match(uplinks, [
    {
      name: "plant",
      settings: {
        ...{ url: "mqtt://broker.example", username: "gateway-7", password: "secret" },
        ...{ shape: "mirror", protocol: 5, accounts: { site: "plant-7" } },
        ...{ retry: { min_s: 1, max_s: 30 }, bounds: { property: { rule: "latest-only" } } },
      },
    },
    { name: "cloud", settings: { url: "wss://cloud.example/mqtt", shape: "peer" } },
  ]);
  t.ok(
    [uplinks, uplinks[0], uplinks[0]?.settings, uplinks[0]?.settings.retry].every(Object.isFrozen),
  );
  t.end();
});

const FAULTS: readonly (readonly [toml: string, faults: readonly string[]])[] = [
  ["uplink = 1", ["uplink: expected tables: [[uplink]]"]],
  ["[uplink]\nurl = 'mqtt://a'", ["uplink: expected tables: [[uplink]]"]],
  [
    "[[uplink]]\nurl = 'mqtt://a'",
    ["uplink[0].name: expected 1 to 64 of A-Z a-z 0-9 _ -, the first a letter or a digit"],
  ],
  [
    "[[uplink]]\nname = 'a'",
    ["uplink[0].url: expected an mqtt, mqtts, ws or wss URL with a host, as mqtt://host:1883"],
  ],
  [
    "[[uplink]]\nname = 'a'\nurl = 'mqtt://a'\nprot = 1",
    ["uplink[0].prot: not a known member here (docs/uplink.md)"],
  ],
  [
    "[[uplink]]\nname = 'a'\nurl = 'mqtt://a'\nretry = { min_s = 0 }",
    ["uplink[0].retry.min_s: expected a number from 0.1 to 120"],
  ],
  [
    "[[uplink]]\nname = 'a'\nurl = 'mqtt://a'\nshape = 'peer'\norder = 'live-first'",
    [
      "uplink[0].order: live-first is not for the shape peer: its upstream cannot tell backlog from news",
    ],
  ],
  [
    "[[uplink]]\nname = 'a'\nurl = 'mqtt://a'\n[[uplink]]\nname = 'a'\nurl = 'mqtt://b'",
    ["uplink[1].name: must not be that of another uplink"],
  ],
];

await test("a fault names the uplink and the member", (t) => {
  for (const [toml, faults] of FAULTS) t.same(faultsOf(toml), faults, toml);
  t.end();
});

await test("no fault shows a secret", (t) => {
  for (const member of [
    "url = 'mqtt://me:secret@host'",
    "url = 'mqtt://host'\npassword = ['secret']",
    "url = 'mqtt://host'\nproxy = 'ftp://me:secret@host'",
    "url = 'mqtts://host'\nkey = 'secret'\ncert = 'secret'",
    "url = 'mqtt://host'\nprotocol = 4\npassword = 'secret'",
  ]) {
    const faults = faultsOf(`[[uplink]]\nname = 'a'\n${member}`);
    t.not(faults.length, 0, "it is refused");
    t.notMatch(faults.join("\n"), /secret/);
  }
  t.end();
});

await test("uplinks are not given by variables", (t) => {
  const env = { SLUICE_UPLINK__URL: "mqtt://host" };
  t.same(faultsOf("", env), [
    "SLUICE_UPLINK__URL: expected SLUICE_<SECTION>__<KEY> of a known key",
  ]);
  t.end();
});
