import { readdirSync } from "node:fs";
import { test } from "tap";
import { outputPattern, sectionOf } from "./documents.ts";
import { needs } from "./systemd/programs.ts";
import { runSteps, stepsOf, type Step } from "./walk.ts";

/**
 * What is there on a box and not in a test: root, systemd, a place for the socket, a name, and somebody
 * who types the password and presses Ctrl-C.
 */
const SURROUNDINGS = `
export SLUICE_STORE__PATH=$TMPDIR/store
sudo() { "$@"; }
npm() { case $* in 'ci --ignore-scripts' | 'run install-service') ;; *) exit 64 ;; esac; }
systemctl() {
  : > "$TMPDIR/log"
  node build/src/main.js >> "$TMPDIR/log" &
  while kill -0 $! && ! grep -q gateway.ready "$TMPDIR/log"; do sleep 0.1; done
}
sluice() { node build/src/cli/main.js "$@"; }
curl() {
  local words=() word
  for word; do words+=("\${word/\\/run\\/sluice\\/admin.sock/$SLUICE_STORE__PATH/admin.sock}"); done
  echo 'four random words do' | command curl --silent --show-error --fail-with-body "\${words[@]}"
}
sh() {
  (cd "$TMPDIR" && exec sh "$@") > "$TMPDIR/said" &
  while kill -0 $! && ! grep . "$TMPDIR/said"; do sleep 0.1; done
}
port() { sed -n 's/.*"'"$1"'":\\([0-9]*\\).*/\\1/p' "$TMPDIR/log"; }
code() { sed -n 's/^claim code: //p' "$TMPDIR/log"; }
`;

/** As written, but for what differs from box to box; files go where the test can clean up. */
function atHome({ commands, shown }: Step): Step {
  const places: readonly (readonly [string, string])[] = [
    ['"code": "…"', `"code": "'"$(code)"'"`],
    ["https://gw.local:8443", "https://localhost:$(port httpsPort)"],
  ];
  let text = commands.replaceAll(/\b(ca\.crt|boiler\.json|boiler\.sh)\b(?!")/g, "$TMPDIR/$1");
  for (const [written, here] of places) text = text.replace(written, here);
  return { commands: text, shown };
}

await test(
  "the README leads from an unclaimed box to a device over TLS, as it is written",
  needs("bash", "curl", "jq", "openssl", "mosquitto_pub", "mosquitto_sub"),
  async (t) => {
    const steps = stepsOf(sectionOf("README.md", "On the network: claim it"));
    t.equal(steps.length, 4, "the steps were found");
    const [install, ...rest] = steps.map(atHome);
    const around = readdirSync(".");
    const first = { commands: `${SURROUNDINGS}${install?.commands ?? ""}`, shown: "" };
    const { code, outputs, stderr } = await runSteps(t, [first, ...rest], {
      SLUICE_MQTT__PORT: "0",
      SLUICE_HTTP__PORT: "0",
      SLUICE_TLS__HOST: "0.0.0.0",
      SLUICE_TLS__MQTT_PORT: "0",
      SLUICE_TLS__HTTPS_PORT: "0",
    });
    t.equal(code, 0, `the last command succeeds\n${stderr}\n${outputs.join("\n")}`);
    t.same(readdirSync("."), around, "nothing is left in the working folder");
    const [shown = "", claimed = "", trusted = "", connected = ""] = outputs;
    const fingerprint = /^CA SHA-256: *(\S+)$/m;
    t.match(shown, /^claim code: [A-Z2-7-]{14}$/m);
    t.match(shown, /^claim at: +https:/m);
    t.match(claimed, /^\{"user":"admin","account":"site"\}/);
    t.equal(fingerprint.exec(claimed)?.[1], fingerprint.exec(shown)?.[1], "status shows the CA's");
    t.match(trusted, outputPattern(steps[2]?.shown ?? ""));
    t.equal(trusted.trim().split("=")[1], fingerprint.exec(shown)?.[1], "it is the right CA");
    t.match(connected, outputPattern(steps[3]?.shown ?? ""));
  },
);
