import { test } from "tap";
import { startGateway } from "../http/harness.ts";
import { RawSocket } from "../http/raw-socket.ts";

// Every address of 127.0.0.0/8 is this machine's: a network of attackers on loopback.

const RIGHT = "a password nobody has";

await test("guessers at forty addresses get a few tries at a name, and its owner still gets in", async (t) => {
  // No wait is ever over.
  const clock = { monotonicMs: (): number => 1 };
  const limits = { login_failures_per_name: 5 };
  const { call, port } = await startGateway(t, { limits, clock });
  await call("PUT", "/A/things/pump", { json: {} });
  const resources = [{ entity: "things", id: ["pump"] }];
  await call("POST", "/A/mqtt", { json: { resources, user: "anna", password: RIGHT } });
  const logIn = async (password: string, from: string): Promise<number> => {
    const socket = await RawSocket.open(port, from);
    const basic = Buffer.from(`anna:${password}`).toString("base64");
    socket.send(
      `GET /A/things/pump HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${basic}\r\nConnection: close\r\n\r\n`,
    );
    return Number((await socket.closed()).slice(9, 12));
  };
  t.equal(await logIn(RIGHT, "127.0.0.1"), 200);
  const guesses = Array.from({ length: 40 }, async (_, n) =>
    logIn(`guess ${n}`, `127.0.1.${n + 1}`),
  );
  const answers = await Promise.all(guesses);
  const checked = answers.filter((status) => status === 401).length;
  t.equal(checked, 5, "so many were checked, though they came at once");
  t.equal(answers.filter((status) => status === 429).length, 35);
  t.equal(await logIn(RIGHT, "127.0.2.1"), 429, "from nowhere known it is a guess as any");
  t.equal(await logIn(RIGHT, "127.0.0.1"), 200, "its owner does not even notice");
  t.equal(await logIn("guess 40", "127.0.3.1"), 429, "and gives nobody a try by being right");
});
