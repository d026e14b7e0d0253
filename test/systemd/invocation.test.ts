import { closeSync, fstatSync, openSync } from "node:fs";
import { test } from "tap";
import { isJournalStream, runsAsService } from "../../src/systemd/invocation.ts";

await test("a process that systemd itself started is a service", (t) => {
  t.ok(runsAsService({ INVOCATION_ID: "1", SYSTEMD_EXEC_PID: "42" }, 42));
  t.ok(runsAsService({ NOTIFY_SOCKET: "/run/systemd/notify" }, 42));
  t.ok(runsAsService({ INVOCATION_ID: "1" }, 42), "systemd before 248 names no process");
  t.ok(runsAsService({ JOURNAL_STREAM: "1:2" }, 42), "nor does it here");
  t.end();
});

await test("a program of a session, or a job of a service, is not one itself", (t) => {
  t.notOk(runsAsService({}, 42));
  t.notOk(runsAsService({ INVOCATION_ID: "1", JOURNAL_STREAM: "1:2", SYSTEMD_EXEC_PID: "7" }, 42));
  t.end();
});

await test("only the stream that JOURNAL_STREAM names goes to the journal", (t) => {
  const fd = openSync("/dev/null", "r");
  const { dev, ino } = fstatSync(fd);
  t.ok(isJournalStream({ JOURNAL_STREAM: `${String(dev)}:${String(ino)}` }, fd));
  t.notOk(isJournalStream({ JOURNAL_STREAM: `${String(dev)}:${String(ino + 1)}` }, fd));
  t.notOk(isJournalStream({ JOURNAL_STREAM: "nonsense" }, fd));
  t.notOk(isJournalStream({}, fd));
  closeSync(fd);
  t.notOk(isJournalStream({ JOURNAL_STREAM: `${String(dev)}:${String(ino)}` }, fd), "closed");
  t.end();
});
