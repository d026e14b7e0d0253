import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { connectAsync } from "mqtt";
import { test, type Test } from "tap";
import { needs } from "./systemd/programs.ts";
import { folderOf, foreignPair } from "./tls/kit.ts";
import { ADMIN, openTlsSite } from "./tls/site.ts";

const EXAMPLES = "docs/examples";

/** An example that runs until its input ends, and what it says, line by line. */
function start(t: Test, command: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    env: { PATH: process.env["PATH"], EVERY: "0.5", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const ended = once(child, "close");
  return {
    type: (text: string) => child.stdin.write(text),
    endInput: () => child.stdin.end(),
    said: linesOf(child.stdout),
    complained: linesOf(child.stderr),
    exitCode: async () => (await ended)[0] as number | null,
  };
}

/** The next line that has this in it. */
function linesOf(stream: Readable): (part: string) => Promise<string> {
  const lines = createInterface({ input: stream })[Symbol.asyncIterator]();
  return async (part) => {
    for (;;) {
      const { value, done } = (await lines.next()) as { value: string; done?: boolean };
      if (done === true) throw new Error(`it ended before it said ${part}`);
      if (value.includes(part)) return value;
    }
  };
}

type Card = Readonly<Record<"mqtt_url" | "ca" | "user" | "password", string>> & {
  readonly example: { readonly topic: string; readonly payload: string };
};

await test(
  "a device asks over TLS, an installer types its code, and it is in; it does not ask just anybody",
  needs("python3", "sh", "curl", "jq", "openssl"),
  async (t) => {
    const { httpsPort, httpPort, ca } = await openTlsSite(t);
    const url = `https://127.0.0.1:${httpsPort}`;
    const get = async (path: string): Promise<unknown> => {
      const headers = { authorization: `Bearer ${ADMIN}` };
      return (await fetch(`http://127.0.0.1:${httpPort}${path}`, { headers })).json();
    };
    const thing = [`${EXAMPLES}/station.json`, "station-7"];
    const scopes = ["gateway.manage", "mqtt.credentials", "thing.manage"];
    const made = await fetch(`http://127.0.0.1:${httpPort}/gateway/tokens`, {
      method: "POST",
      headers: { authorization: `Bearer ${ADMIN}` },
      body: JSON.stringify({ scopes }),
    });
    const { token: TOKEN } = (await made.json()) as { readonly token: string };
    const foreign = foreignPair(folderOf(t), "somebody else").cert;
    const misled = start(t, ["python3", `${EXAMPLES}/join.py`, url, foreign, ...thing]);
    t.match(await misled.complained("ca.crt"), /^not the gateway of ca\.crt: /);
    t.equal(await misled.exitCode(), 1);

    // It asks before anybody lets it in, and goes on asking.
    const device = start(t, ["python3", `${EXAMPLES}/join.py`, url, ca, ...thing]);
    const installer = start(t, ["sh", `${EXAMPLES}/let-in.sh`, url, ca], { TOKEN });
    await installer.said("devices can ask until");
    const code = (await device.complained("code: ")).slice(6);
    t.match(code, /^\d{6}$/);
    const other = code.replaceAll(/\d/g, (digit) => String(9 - Number(digit)));
    installer.type(`${other}\n`);
    t.equal(await installer.said("device"), `no device shows ${other}`);
    t.match(await get("/gateway/joining"), { open: true, pending: 1 });
    installer.type(`${code}\n`);
    t.equal(await installer.said("from"), "station-7, from 127.0.0.1");
    t.match(await installer.said("let in"), "let in: Thing station-7 of site, user ");

    const card = JSON.parse(await device.said("{")) as Card;
    t.equal(await device.exitCode(), 0);
    const { mqtt_url, user: username, password, example } = card;
    const client = await connectAsync(mqtt_url, { username, password, ca: card.ca });
    await client.publishAsync(example.topic, example.payload, { qos: 1 });
    await client.endAsync();
    t.same(await get("/site/things/station-7/properties/load"), JSON.parse(example.payload));

    installer.endInput();
    t.equal(await installer.exitCode(), 0);
    t.match(await get("/gateway/joining"), { open: false });
  },
);
