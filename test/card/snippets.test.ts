import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test, type Test } from "tap";
import { arduinoCard } from "../../src/http/card/arduino.ts";
import type { Card } from "../../src/http/card/card.ts";
import { envCard } from "../../src/http/card/env.ts";
import { espIdfCard } from "../../src/http/card/esp-idf.ts";
import { fingerprintOf, jsonCard } from "../../src/http/card/json.ts";
import { micropythonCard } from "../../src/http/card/micropython.ts";
import { mosquittoCard } from "../../src/http/card/mosquitto.ts";
import { pythonCard } from "../../src/http/card/python.ts";
import { qrCard, qrText } from "../../src/http/card/qr.ts";
import { needs, needsModule, outputOf, PYTHON } from "./programs.ts";
import { modulesOf } from "./qr-modules.ts";

const NAME = `it's "quoted" \\ $HOME \`id\` ??! %s 温度`;
const PLAIN: Card = {
  account: "site",
  ulid: "01J00000000000000000000000",
  host: "fe80::1",
  port: 1883,
  isTls: false,
  httpUrl: "http://[fe80::1]:8080",
  user: "boiler",
  password: `p'a"s\\s $HOME \`id\` ??!\n wörd`,
  topics: [{ pattern_pub: `set/site/${NAME}`, pattern_sub: `status/site/${NAME}` }],
  example: { topic: `set/site/${NAME}`, payload: JSON.stringify({ [NAME]: 21 }) },
};

/** A certificate of its own, by openssl. */
function makeCa(t: Test): string {
  const made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Sluice"];
  return outputOf(t, ["openssl", ...made.slice(1), "-keyout", "/dev/null"], {});
}

/** Every way a card can be: with and without TLS, a CA, a password, something to publish or to hear. */
function cards(t: Test): ReadonlyMap<string, Card> {
  const caPem = makeCa(t);
  const { password: _, ...shown } = PLAIN;
  const { example: __, ...silent } = PLAIN;
  const tls = { isTls: true, port: 8883 };
  return new Map<string, Card>([
    ["plain", PLAIN],
    ["its password was shown", shown],
    ["nothing to publish", silent],
    ["nothing to hear", { ...PLAIN, topics: [] }],
    ["nothing at all", { ...silent, topics: [] }],
    ["bound to a client id", { ...PLAIN, clientId: NAME }],
    ["TLS", { ...PLAIN, ...tls, caPem }],
    ["TLS, its password was shown", { ...shown, ...tls, caPem }],
    ["TLS, a CA that all believe", { ...PLAIN, ...tls }],
  ]);
}

function compile(t: Test, compiler: string, file: string, code: string, name: string): void {
  const path = mkdtempSync(join(tmpdir(), "sluice-card-"));
  t.teardown(() => rmSync(path, { recursive: true }));
  writeFileSync(join(path, file), code);
  const flags = ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", "test/card/stubs/include"];
  const { status, stderr } = spawnSync(compiler, [...flags, join(path, file)], {
    encoding: "utf8",
  });
  t.equal(status, 0, `${name}: ${stderr}`);
}

await test("a sketch for Arduino compiles", needs("g++", "openssl"), (t) => {
  for (const [name, card] of cards(t)) compile(t, "g++", "card.cpp", arduinoCard(card), name);
  t.end();
});

await test("a file for ESP-IDF compiles", needs("gcc", "openssl"), (t) => {
  for (const [name, card] of cards(t)) compile(t, "gcc", "card.c", espIdfCard(card), name);
  t.end();
});

await test("programs for Python and MicroPython compile", needs("python3", "openssl"), (t) => {
  const check = "import sys; compile(sys.stdin.read(), 'card', 'exec')";
  for (const card of cards(t).values()) {
    for (const input of [pythonCard(card), micropythonCard(card)]) {
      outputOf(t, [PYTHON, "-W", "error", "-c", check], { input });
    }
  }
  t.end();
});

await test("shells find no fault in a script and in variables", needs("sh", "openssl"), (t) => {
  for (const card of cards(t).values()) {
    for (const input of [mosquittoCard(card), envCard(card)]) {
      outputOf(t, ["sh", "-n"], { input });
    }
  }
  t.end();
});

await test("a card says what is not safe, and keeps a secret that was shown", (t) => {
  const { password: secret = "" } = PLAIN;
  const { password: _, ...shown } = PLAIN;
  const formats = [envCard, mosquittoCard, pythonCard, micropythonCard, arduinoCard, espIdfCard];
  for (const render of formats) {
    t.match(render(PLAIN), "This is not encrypted", render.name);
    t.notMatch(render({ ...PLAIN, isTls: true }), "This is not encrypted", render.name);
    t.match(render({ ...PLAIN, host: "127.0.0.1" }), "This host is the box itself", render.name);
    t.match(render(shown), 'PATCH /site/mqtt/01J00000000000000000000000 {"password": ""} makes');
    t.notMatch(render(PLAIN), "shown once");
  }
  t.equal(jsonCard(PLAIN)["password"], secret);
  t.equal(jsonCard(shown)["password"], null);
  t.notOk("password" in (JSON.parse(qrText(shown)) as object));
  t.equal(jsonCard(PLAIN)["mqtt_url"], "mqtt://[fe80::1]:1883");
  t.end();
});

await test("the fingerprint of a card is the one openssl shows", needs("openssl"), (t) => {
  const input = makeCa(t);
  const said = outputOf(t, ["openssl", "x509", "-noout", "-fingerprint", "-sha256"], { input });
  t.equal(fingerprintOf(input), said.trim().split("=")[1]?.replaceAll(":", "").toLowerCase());
  t.end();
});

await test("a reader of QR codes reads the card", needsModule("zbar"), (t) => {
  const long = { ...PLAIN, password: "\u0001".repeat(256), clientId: "\u0001".repeat(256) };
  for (const card of [...cards(t).values(), long]) {
    const input = modulesOf(qrCard(card));
    const said = outputOf(t, [PYTHON, resolve("test/card/read-qr.py")], { input });
    t.equal(said, qrText(card));
  }
  t.notMatch(qrText(long), "client_id", "what fits into no code is left out");
  t.end();
});
