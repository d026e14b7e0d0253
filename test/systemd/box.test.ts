import { test } from "tap";
import type { Test } from "tap";
import { bootBox, type Box } from "./box.ts";
import { needs } from "./programs.ts";

const DROP_IN = "/run/systemd/system/sluice.service.d/test.conf";

/** Adds lines to the unit, as `systemctl edit` would; without lines, takes them away. */
function edit(box: Box, lines = ""): void {
  const write = `mkdir -p ${DROP_IN.slice(0, DROP_IN.lastIndexOf("/"))} && cat > ${DROP_IN}`;
  box.run(["sh", "-c", `${write} && systemctl daemon-reload`], lines);
}

/** The lines of `/proc/PID/status` of the service's process. */
function processStatus(box: Box): string {
  return box.run(["cat", `/proc/${box.service("MainPID")["MainPID"] ?? ""}/status`]).output;
}

function installs(t: Test, box: Box): void {
  const installed = box.run(["sh", "/mnt/systemd/install.sh", "--no-build"]);
  t.equal(installed.code, 0, installed.output);
  const started = box.run(["systemctl", "start", "sluice"]);
  t.equal(started.code, 0, started.output);
  t.match(box.service("ActiveState", "StatusText", "WatchdogUSec"), {
    ActiveState: "active",
    WatchdogUSec: "30s",
    StatusText: /^0 Things/,
  });
  const status = processStatus(box);
  t.match(status, /^Seccomp:\s+2$/m, "system calls are filtered");
  t.match(status, /^NoNewPrivs:\s+1$/m);
  t.match(status, /^CapBnd:\s+0+$/m, "it can gain no privilege");
  t.notMatch(status, /^Uid:\s+0/m, "it is not root");
  const stranger = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];
  t.not(box.run([...stranger, "sluice", "claim", "--show"]).code, 0, "who is nobody has no code");
  const shown = box.run(["sluice", "claim", "--show", "--json"]);
  const { code } = JSON.parse(shown.output) as { readonly code?: string };
  const claim = JSON.stringify({ code, password: "an oar for every boat", user: "ann" });
  const ask = ["curl", "--fail", "--silent", "--show-error", "--unix-socket"];
  const socket = ["/run/sluice/admin.sock", "http://localhost/gateway/claim", "--data", claim];
  const claimed = box.run([...ask, ...socket]);
  t.equal(claimed.code, 0, `root claims it: ${claimed.output}`);
}

async function startsAgain(t: Test, box: Box): Promise<void> {
  box.run(["systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "sluice"]);
  await box.until({ NRestarts: "1", ActiveState: "active" });
  t.match(box.run(["sluice", "user"]).output, /ann/, "what was acknowledged is there");
}

function stops(t: Test, box: Box): void {
  const stopped = box.run(["systemctl", "stop", "sluice"]);
  t.equal(stopped.code, 0, stopped.output);
  t.match(box.service("ActiveState", "Result", "ExecMainStatus"), {
    ActiveState: "inactive",
    Result: "success",
    ExecMainStatus: "0",
  });
  const log = box.run(["journalctl", "--identifier", "sluice", "--output", "cat"]).output;
  t.match(log, /gateway\.stopped/, "the log is the service's own");
  t.notMatch(log, /notify_failed/, "systemd heard all that was to be said");
}

function givesUp(t: Test, box: Box): void {
  edit(box, "[Service]\nEnvironment=SLUICE_HTTP__PORT=eighty\n");
  t.not(box.run(["systemctl", "start", "sluice"]).code, 0);
  t.match(box.service("ActiveState", "SubState", "ExecMainStatus", "NRestarts"), {
    ActiveState: "failed",
    SubState: "failed",
    ExecMainStatus: "78",
  });
  const status = box.run(["systemctl", "status", "sluice"]).output;
  t.match(status, /SLUICE_HTTP__PORT/, "the status shows what is wrong");
  edit(box);
  box.run(["systemctl", "reset-failed", "sluice"]);
}

async function waits(t: Test, box: Box): Promise<void> {
  const holder = "require('net').createServer().listen(8443, '::')";
  box.run(["systemd-run", "--unit=holder", "node", "--eval", holder]);
  const listens = ":20FB 0*:0000 0A"; // 8443, as the kernel lists it.
  box.run(["sh", "-c", `until grep --quiet "${listens}" /proc/net/tcp6; do :; done`]);
  box.run(["systemctl", "start", "--no-block", "sluice"]);
  await box.until({ SubState: "auto-restart", ExecMainStatus: "75" });
  t.match(box.service("StatusText")["StatusText"], /in use.*:8443;/, "it says why it waits");
  box.run(["systemctl", "stop", "holder"]);
  await box.until({ ActiveState: "active" });
  t.pass("and starts when it can");
}

async function isWatched(t: Test, box: Box): Promise<void> {
  box.run(["systemctl", "stop", "sluice"]);
  edit(box, "[Service]\nWatchdogSec=2\nTimeoutStopSec=1\n");
  box.run(["systemctl", "start", "sluice"]);
  const { NRestarts = "" } = box.service("NRestarts");
  // A process that hangs: it neither feeds the watchdog nor hears a signal.
  box.run(["systemctl", "kill", "--kill-whom=main", "--signal=SIGSTOP", "sluice"]);
  await box.until({ Result: "watchdog" });
  await box.until({ NRestarts: String(Number(NRestarts) + 1), ActiveState: "active" });
  t.match(processStatus(box), /^State:\s+[RS]/m);
}

await test("under a systemd of its own", needs("unshare", "nsenter", "systemctl"), async (t) => {
  const box = await bootBox(t);
  if (typeof box === "string") {
    t.pass("needs a machine of its own", { skip: box });
    return;
  }
  const steps: readonly (readonly [string, (t: Test, box: Box) => Promise<void> | void])[] = [
    ["it is installed, starts in its sandbox, and root can claim it", installs],
    ["after a kill it starts again with what it had", startsAgain],
    ["an ordered stop is a success, told to the end", stops],
    ["what only a person can mend is not tried again, and stands in the status", givesUp],
    ["what may pass is tried again, and the status says why it waits", waits],
    ["a gateway that hangs is ended by the watchdog and starts again", isWatched],
  ];
  for (const [name, step] of steps) await t.test(name, async (s) => Promise.resolve(step(s, box)));
});
