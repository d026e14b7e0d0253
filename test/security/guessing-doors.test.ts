import { generate } from "mqtt-packet";
import { test, type Test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { startGateway } from "../http/harness.ts";
import { RawSocket } from "../http/raw-socket.ts";
import { seededRandom } from "../store/random.ts";
import { countStretches } from "../stretches.ts";
import { Site } from "../wire/site.ts";

// Every address of 127.0.0.0/8 is this machine's: a network of attackers on loopback. No clock moves
// by itself: what is not given back is gone.

const RIGHT = "a password nobody has";
const FREE_TRIES = 5;

type Outcome = "in" | "wrong" | "slowed";
/** `said`: all that whoever guesses can see, but for what differs from answer to answer anyway. */
type Answer = { readonly outcome: Outcome; readonly said: string };
type Door = (user: string, password: string, from: string) => Promise<Answer>;

async function request(port: number, from: string, head: string, body = ""): Promise<Answer> {
  const socket = await RawSocket.open(port, from);
  const length = `Content-Length: ${Buffer.byteLength(body)}`;
  socket.send(`${head}\r\nHost: 127.0.0.1\r\n${length}\r\nConnection: close\r\n\r\n${body}`);
  const answer = await socket.closed();
  const status = answer.slice(9, 12);
  const outcome = status === "429" ? "slowed" : status.startsWith("2") ? "in" : "wrong";
  return {
    outcome,
    said: answer.replaceAll(/\b[0-9a-f]{12}-[0-9a-z]+|^(Date|Content-Length): .*$/gim, "…"),
  };
}

function doorsOf(site: Site): Readonly<Record<"Basic" | "CONNECT" | "a session", Door>> {
  const port = Number(new URL(site.url).port);
  return {
    Basic: async (user, password, from) => {
      const basic = Buffer.from(`${user}:${password}`).toString("base64");
      return request(port, from, `GET /A/things/pump HTTP/1.1\r\nAuthorization: Basic ${basic}`);
    },
    CONNECT: async (username, password, from) => {
      const socket = await RawSocket.open(site.mqttPort, from);
      const packet = generate({
        ...{ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true, keepalive: 0 },
        ...{ clientId: `c${from}`, username, password: Buffer.from(password) },
      });
      socket.send(packet.toString("latin1"));
      const said = await socket.heard(/^[^]{4}/);
      socket.socket.destroy();
      const code = said.charCodeAt(3);
      return { outcome: code === 0 ? "in" : code === 3 ? "slowed" : "wrong", said };
    },
    "a session": async (user, password, from) =>
      request(
        port,
        from,
        "POST /gateway/sessions HTTP/1.1\r\nContent-Type: application/json",
        JSON.stringify({ user, password }),
      ),
  };
}

/** A site where `made`, `chosen` and `disabled` are MQTT credentials and `person` is one. */
async function startSite(t: Test, freeTries: number): Promise<Site> {
  const site = await Site.start(t, { SLUICE_LIMITS__LOGIN_FAILURES_PER_NAME: String(freeTries) });
  await site.makeThing("pump");
  const resources = [{ entity: "things", id: ["pump"] }];
  await site.makeCredential(resources, { user: "made" });
  await site.makeCredential(resources, { user: "chosen", password: RIGHT });
  await site.makeCredential(resources, { user: "disabled", password: RIGHT, enabled: false });
  await site.did("PUT", "/gateway/users/person", { role: "viewer", password: RIGHT });
  return site;
}

function guesses(seed: number, count: number): readonly string[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => Buffer.from(random.bytes(8)).toString("hex"));
}

for (const [name, user] of [
  ["Basic", "chosen"],
  ["CONNECT", "chosen"],
  ["a session", "person"],
] as const) {
  await test(`by ${name} forty guessers get ${FREE_TRIES} tries at a name, and its owner still gets in`, async (t) => {
    const site = await startSite(t, FREE_TRIES);
    const door = doorsOf(site)[name];
    t.equal((await door(user, RIGHT, "127.0.0.9")).outcome, "in");
    let answers: readonly Answer[] = [];
    const { count } = await countStretches(async () => {
      const all = guesses(2026, 40).map(async (guess, n) => door(user, guess, `127.0.1.${n + 1}`));
      answers = await Promise.all(all);
    });
    t.equal(count, FREE_TRIES, "so many reached the hash, though all came at once");
    const outcomes = answers.map(({ outcome }) => outcome).sort();
    t.same(outcomes, [...Array<string>(35).fill("slowed"), ...Array<string>(5).fill("wrong")]);
    t.equal((await door(user, RIGHT, "127.0.0.9")).outcome, "in", "its owner does not notice");
    const colleague = async () => (await door(user, RIGHT, "127.0.0.8")).outcome;
    t.equal(await colleague(), "slowed", "from where it never was right it is a guess as any");
    site.clock.advance(2_000);
    t.equal(await colleague(), "in", "and gets in once the wait is over");
  });
}

await test("a name that is there is refused like one that is not: in each word, and with as much work", async (t) => {
  const site = await startSite(t, 0);
  for (const [name, door] of Object.entries(doorsOf(site))) {
    const said = new Set<string>();
    for (const user of ["nobody", "made", "chosen", "disabled", "person", "app::nobody"]) {
      for (const [work, which] of [
        [1, "one check"],
        [0, "none, the second time"],
      ] as const) {
        const { count } = await countStretches(async () => {
          said.add((await door(user, `a guess by ${name}`, "127.0.0.7")).said);
        });
        t.equal(count, work, `${name}, ${user}: the work of ${which}`);
      }
    }
    t.equal(said.size, 1, `${name}: one answer to all\n${[...said].join("\n")}`);
  }
});

await test("guesses at a client's secret end with the tries of their address, and cost others nothing", async (t) => {
  const { call, port } = await startGateway(t, { clock: { monotonicMs: () => 1 } });
  const made = (await call("POST", "/A/clients", { json: { scopes: ["thing.read"] } })).json;
  const ask: Door = async (id, secret, from) => {
    const form = { grant_type: "client_credentials", client_id: id, client_secret: secret };
    const type = "Content-Type: application/x-www-form-urlencoded";
    const body = new URLSearchParams(form).toString();
    return request(port, from, `POST /oauth2/token HTTP/1.1\r\n${type}`, body);
  };
  const unknown = `app::${"0".repeat(26)}`;
  const [known, none] = [
    await ask(made.client_id, "guess", "127.0.0.3"),
    await ask(unknown, "guess", "127.0.0.3"),
  ];
  t.same(known, none);
  t.equal(known.outcome, "wrong");
  let answers: readonly Answer[] = [];
  const { count } = await countStretches(async () => {
    const all = guesses(41, 100).map(async (guess) => ask(made.client_id, guess, "127.0.0.66"));
    answers = await Promise.all(all);
  });
  t.equal(count, 0, "a secret that we made is not stretched, whoever's it is");
  t.equal(answers.filter(({ outcome }) => outcome === "wrong").length, 30);
  t.equal(answers.filter(({ outcome }) => outcome === "slowed").length, 70);
  t.equal((await ask(made.client_id, made.client_secret, "127.0.0.66")).outcome, "slowed");
  t.equal((await ask(made.client_id, made.client_secret, "127.0.0.4")).outcome, "in");
});

await test("forty guessers at the claim code have the tries of all, and whoever is at the box has his", async (t) => {
  const time = { ms: 0 };
  const gateway = await startGateway(t, {
    isClaimed: false,
    clock: { monotonicMs: () => time.ms },
  });
  const ask: Door = async (code, password, from) => {
    const head = "POST /gateway/claim HTTP/1.1\r\nContent-Type: application/json";
    return request(gateway.port, from, head, JSON.stringify({ code, password }));
  };
  const { claimAttemptsPerMinute: most, claimAttemptsPerMinutePerAddress } = FIXED_LIMITS;
  let answers: readonly Answer[] = [];
  const { count } = await countStretches(async () => {
    const all = guesses(5, 10 * 40).map(async (guess, n) =>
      ask(guess.slice(0, 12), RIGHT, `127.0.2.${(n % 40) + 1}`),
    );
    answers = await Promise.all(all);
  });
  t.ok(40 * claimAttemptsPerMinutePerAddress > most, "the bound of all is what is met");
  t.equal(answers.filter(({ outcome }) => outcome === "wrong").length, most);
  t.equal(answers.filter(({ outcome }) => outcome === "slowed").length, 400 - most);
  t.equal(count, 0, "a password is stretched for the right code only");
  const code = gateway.deps.claim.code ?? "";
  t.equal((await ask(code, RIGHT, "127.0.0.4")).outcome, "slowed", "on the network he waits");
  time.ms += 60_000 / most;
  const mistyped = gateway.deps.claim.claim("AAAA", { password: RIGHT });
  await t.rejects(mistyped, { code: "wrong-claim-code" }, "at the box nothing is counted");
  t.equal((await ask(code, RIGHT, "127.0.0.4")).outcome, "in", "for a second");
});
