import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type Test } from "tap";
import { Daemon, daemonEnvironment, type Ready } from "../daemon.ts";
import { needs } from "../systemd/programs.ts";
import { listen, mosquittoPub, mosquittoSub, type Ended } from "./mosquitto.ts";
import { BOILER } from "./things.ts";

const PROGRAMS = needs("mosquitto_pub", "mosquitto_sub", "stdbuf");
const TOKEN = "slu_0123456789abcdefghij";
const SET = "set/site/things/boiler";
const STATUS = "status/site/things/boiler";

/** The daemon as it is run, with a Thing and a credential, and what becomes of it on one store. */
class Box {
  readonly #t: Test;
  readonly #env: NodeJS.ProcessEnv & { SLUICE_STORE__PATH: string };
  #daemon: Daemon | undefined;
  #ready: Ready | undefined;
  login = { username: "", password: "" };

  constructor(t: Test) {
    this.#t = t;
    this.#env = { ...daemonEnvironment(t), SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN };
  }

  static async start(t: Test): Promise<Box> {
    const box = new Box(t);
    await box.begin();
    await box.call("PUT", "/site/things/boiler", BOILER);
    const resources = [{ entity: "things", id: ["boiler"], definition: true }];
    box.login = (await box.call("POST", "/site/mqtt", { resources })) as Box["login"];
    return box;
  }

  get mqttPort(): number {
    return this.#ready?.mqttPort ?? 0;
  }

  get storePath(): string {
    return this.#env.SLUICE_STORE__PATH;
  }

  async begin(): Promise<void> {
    this.#daemon = new Daemon(this.#t, [], this.#env);
    this.#ready = await this.#daemon.ready;
  }

  /** The exit code. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null | undefined> {
    this.#daemon?.signal(signal);
    return (await this.#daemon?.ended)?.code;
  }

  async call(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.#ready?.httpPort ?? 0}${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  }

  async pub(args: readonly string[], lines?: readonly string[]): Promise<Ended> {
    return mosquittoPub(this.#t, this, this.login, args, lines);
  }

  async sub(args: readonly string[]): Promise<Ended> {
    return mosquittoSub(this.#t, this, this.login, args);
  }
}

await test(
  "mosquitto_pub sets a property and mosquitto_sub gets it at once, retained",
  PROGRAMS,
  async (t) => {
    const box = await Box.start(t);
    for (const [qos, target] of [
      ["0", 10],
      ["1", 11],
      ["2", 12],
    ] as const) {
      const listening = await listen(t, box, box.login, [
        "-t",
        `${STATUS}/properties/#`,
        "-q",
        "1",
      ]);
      const sent = await box.pub([
        ...["-t", `${SET}/properties/target`, "-q", qos],
        ...["-m", JSON.stringify({ target })],
      ]);
      t.match(sent, { code: 0, stderr: "" });
      t.equal(await listening.untilLine(new RegExp(`"target":${target}`)), `{"target":${target}}`);
      listening.kill();
    }
    const format = ["-F", "%t %q %r %p", "-C", "1"];
    const got = await box.sub(["-t", `${STATUS}/properties/target`, "-q", "2", ...format]);
    t.equal(got.stdout, `${STATUS}/properties/target 1 1 {"target":12}`);
    t.same(await box.call("GET", "/site/things/boiler/properties/target"), { target: 12 });
  },
);

await test("mosquitto_pub -r -n deletes nothing", PROGRAMS, async (t) => {
  const box = await Box.start(t);
  await box.pub(["-t", `${SET}/properties/target`, "-q", "1", "-m", '{"target":5}']);
  for (const topic of [SET, `${SET}/properties`, `${SET}/properties/target`, STATUS]) {
    t.match(await box.pub(["-t", topic, "-q", "1", "-r", "-n"]), { code: 0 });
  }
  t.same(await box.call("GET", "/site/things/boiler/properties/target"), { target: 5 });
  const got = await box.sub(["-t", `${STATUS}/properties/target`, "-C", "1"]);
  t.equal(got.stdout, '{"target":5}');
});

await test(
  "mosquitto_pub -l sends a thousand lines at QoS 2, each recorded once and in order",
  PROGRAMS,
  async (t) => {
    const box = await Box.start(t);
    const lines = Array.from({ length: 1_000 }, (_, index) => `{"alarm":{"data":"${index}"}}`);
    const sent = await box.pub(["-t", `${SET}/events/alarm`, "-q", "2", "-l"], lines);
    t.match(sent, { code: 0, stderr: "" });
    const list = (await box.call("GET", "/site/things/boiler/events/alarm?limit=1000")) as {
      data: readonly { alarm: { data: string } }[];
    };
    t.strictSame(
      list.data.map(({ alarm }) => Number(alarm.data)),
      Array.from({ length: 1_000 }, (_, index) => 999 - index),
    );
  },
);

await test(
  "mosquitto_pub is told when it may not connect, and its refused publish is acknowledged",
  PROGRAMS,
  async (t) => {
    const box = await Box.start(t);
    const args = ["-t", `${SET}/properties/target`, "-q", "1", "-m", "{}"];
    t.match(await mosquittoPub(t, box, undefined, args), { code: 5, stderr: /not authori[sz]ed/i });
    const wrong = { ...box.login, password: "wrong" };
    t.match(await mosquittoPub(t, box, wrong, args), {
      code: 4,
      stderr: /bad user ?name or password/i,
    });
    const listening = await listen(t, box, box.login, ["-t", `${STATUS}/errors`, "-q", "1"]);
    t.match(await box.pub(args), { code: 0, stderr: "" });
    t.match(await listening.untilLine(/"code"/), /"code":"malformed"/);
    t.match(await box.sub(["-t", "set/#", "-W", "5"]), { stderr: /denied|0x80|rejected/i });
  },
);

await test(
  "MQTT 3.1 clients are served, MQTT 5 clients are told that they are not",
  PROGRAMS,
  async (t) => {
    const box = await Box.start(t);
    const args = ["-t", `${SET}/properties/target`, "-q", "1", "-m", '{"target":31}'];
    t.match(await box.pub(["-V", "mqttv31", ...args]), { code: 0, stderr: "" });
    t.not((await box.pub(["-V", "mqttv5", ...args])).code, 0);
    t.same(await box.call("GET", "/site/things/boiler/properties/target"), { target: 31 });
  },
);

await test(
  "an action reaches a shell script's mosquitto_sub, and its mosquitto_pub completes it",
  PROGRAMS,
  async (t) => {
    const box = await Box.start(t);
    const device = await listen(t, box, box.login, ["-t", `${STATUS}/actions/purge`, "-q", "1"]);
    await box.call("POST", "/site/things/boiler/actions/purge", { purge: { input: {} } });
    const line = await device.untilLine(/"pending"/);
    const { href } = (JSON.parse(line) as { purge: { href: string } }).purge;
    const report = JSON.stringify({ purge: { href, status: "completed", output: 1 } });
    t.match(await box.pub(["-t", `${SET}/actions/purge`, "-q", "1", "-m", report]), { code: 0 });
    t.match(await box.call("GET", href), { purge: { status: "completed", output: 1 } });
  },
);

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  await test(
    `what a mosquitto_sub -c is owed outlives ${signal}, in order`,
    PROGRAMS,
    async (t) => {
      const box = await Box.start(t);
      const topic = ["-c", "-i", "shell", "-q", "1", "-t", `${STATUS}/events/alarm`];
      t.match(await box.sub([...topic, "-E"]), { code: 0 });
      const emit = async (...data: readonly string[]): Promise<void> => {
        const lines = data.map((each) => JSON.stringify({ alarm: { data: each } }));
        t.match(await box.pub(["-t", `${SET}/events/alarm`, "-q", "1", "-l"], lines), { code: 0 });
      };
      await emit("1", "2", "3");
      t.equal(await box.end(signal), signal === "SIGTERM" ? 0 : null);
      await box.begin();
      await emit("4");
      const got = await box.sub([...topic, "-C", "4"]);
      t.same(
        got.stdout
          .split("\n")
          .map((line) => (JSON.parse(line) as { alarm: { data: string } }).alarm.data),
        ["1", "2", "3", "4"],
      );
    },
  );
}

await test(
  "the will of a mosquitto_sub that is killed is applied; a stop of the daemon applies none",
  PROGRAMS,
  async (t) => {
    const box = await Box.start(t);
    const will = ["--will-topic", `${SET}/properties/mode`, "--will-qos", "1"];
    const payload = (mode: string) => ["--will-payload", JSON.stringify({ mode })];
    const any = ["-t", `${STATUS}/errors`];
    const watching = await listen(t, box, box.login, ["-t", `${STATUS}/properties/mode`]);
    const device = await listen(t, box, box.login, [...any, ...will, ...payload("off")]);
    device.kill();
    t.equal(await watching.untilLine(/^\{"mode"/), '{"mode":"off"}');
    await listen(t, box, box.login, [...any, ...will, ...payload("auto")]);
    t.equal(await box.end("SIGTERM"), 0);
    await box.begin();
    t.same(await box.call("GET", "/site/things/boiler/properties/mode"), { mode: "off" });
  },
);

await test(
  "no password is on the disk, neither one that was made nor one that was chosen",
  PROGRAMS,
  async (t) => {
    const box = await Box.start(t);
    const chosen = "correct horse battery staple";
    const resources = [{ entity: "things", id: ["boiler"] }];
    await box.call("POST", "/site/mqtt", { resources, user: "chosen", password: chosen });
    const login = { username: "chosen", password: chosen };
    const publish = ["-t", `${SET}/properties/target`, "-q", "1", "-m", '{"target":1}'];
    t.match(await mosquittoPub(t, box, login, publish), { code: 0 });
    t.match(await box.pub(publish), { code: 0 });
    await box.end("SIGTERM");
    const files = readdirSync(box.storePath, { recursive: true, withFileTypes: true });
    const bytes = Buffer.concat(
      files
        .filter((file) => file.isFile())
        .map((file) => readFileSync(join(file.parentPath, file.name))),
    );
    t.ok(bytes.includes("chosen"), "the user is there");
    for (const secret of [chosen, box.login.password, TOKEN])
      t.equal(bytes.includes(secret), false);
  },
);
