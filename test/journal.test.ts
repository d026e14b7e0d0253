import { test } from "tap";
import { openLog } from "../src/journal.ts";
import type { Log } from "../src/log.ts";

const clock = { wallMs: () => Date.UTC(2024, 0, 2, 3, 4, 5, 6) };

function logInto(
  lines: string[],
  level: "error" | "warn" | "info" | "debug",
  forJournal = false,
): Log {
  return openLog({ level, clock, forJournal, write: (line) => lines.push(line) });
}

const recordOf = (line: string | undefined): unknown => JSON.parse(line ?? "");

await test("a record is one line of JSON with level, time and event first", (t) => {
  const lines: string[] = [];
  logInto(lines, "info").info("gateway.ready", { mqttPort: 1883, text: "a\nb" });
  t.same(lines, [
    '{"level":"info","time":"2024-01-02T03:04:05.006Z","event":"gateway.ready","mqttPort":1883,' +
      '"text":"a\\nb"}\n',
  ]);
  t.end();
});

await test("records below the level are not written", (t) => {
  for (const [level, count] of [
    ["error", 1],
    ["warn", 2],
    ["info", 3],
    ["debug", 4],
  ] as const) {
    const lines: string[] = [];
    const log = logInto(lines, level);
    log.error("a");
    log.warn("a");
    log.info("a");
    log.debug("a");
    t.equal(lines.length, count, level);
  }
  t.end();
});

await test("for journald each line begins with the priority of its level", (t) => {
  const lines: string[] = [];
  const log = logInto(lines, "debug", true);
  log.error("a", { error: new Error("one\ntwo") });
  log.warn("a");
  log.info("a");
  log.debug("a");
  t.same(
    lines.map((line) => line.slice(0, 4)),
    ["<3>{", "<4>{", "<6>{", "<7>{"],
  );
  t.ok(lines.every((line) => line.indexOf("\n") === line.length - 1));
  t.end();
});

await test("an error shows its message, stack and cause", (t) => {
  const lines: string[] = [];
  const error = new Error("cannot open", { cause: new Error("disk gone") });
  logInto(lines, "error").error("store.failed", { error });
  t.match(recordOf(lines[0]), { error: { message: /cannot open/, stack: /disk gone/ } });
  t.end();
});

await test("a member named like a secret is never shown", (t) => {
  const lines: string[] = [];
  const log = logInto(lines, "info");
  log.info("a", { password: "hunter2", client: { token: "hunter2" }, authorization: "hunter2" });
  t.notMatch(lines[0], /hunter2/);
  t.match(recordOf(lines[0]), { password: "[redacted]", client: { token: "[redacted]" } });
  t.end();
});
