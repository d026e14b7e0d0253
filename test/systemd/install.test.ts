import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "smol-toml";
import { test } from "tap";
import type { Test } from "tap";

function install(root: string, ...args: readonly string[]): string {
  const env = { ...process.env, DESTDIR: root };
  return execFileSync("sh", ["systemd/install.sh", ...args], { encoding: "utf8", env });
}

function destination(t: Test): string {
  const root = mkdtempSync(join(tmpdir(), "sluice-install-"));
  t.teardown(() => rmSync(root, { recursive: true }));
  return root;
}

await test("an installed gateway is complete without the checkout and its development packages", (t) => {
  const root = destination(t);
  install(root, "--no-build");
  const library = join(root, "usr/lib/sluice");
  // Starts in an empty environment and checks the configuration that was installed with it.
  const checked = execFileSync(
    process.execPath,
    [join(library, "build/src/main.js"), "--check-config"],
    {
      encoding: "utf8",
      cwd: root,
      env: { CONFIGURATION_DIRECTORY: join(root, "etc/sluice") },
    },
  );
  t.match(checked, /the configuration is valid/);
  for (const left of ["tap", "typescript", "eslint", "mqtt"]) {
    t.notOk(existsSync(join(library, "node_modules", left)), `${left} stays behind`);
  }
  t.notOk(existsSync(join(library, "build/test")), "tests stay behind");
  for (const file of [
    "usr/lib/systemd/system/sluice.service",
    "usr/lib/sysusers.d/sluice.conf",
    "usr/lib/tmpfiles.d/sluice.conf",
  ]) {
    t.equal(statSync(join(root, file)).mode & 0o777, 0o644, file);
  }
  const command = join(root, "usr/bin/sluice");
  t.equal(statSync(command).mode & 0o777, 0o755);
  t.match(
    readFileSync(command, "utf8"),
    /^#!\/bin\/sh\nexec \/.*node \/usr\/lib\/sluice\/build\/src\/cli\/main\.js "\$@"\n$/,
  );
  const cli = join(library, "build/src/cli/main.js");
  t.match(
    execFileSync(process.execPath, [cli, "--help"], { encoding: "utf8", env: {} }),
    /sluice claim/,
  );
  const unit = readFileSync(join(root, "usr/lib/systemd/system/sluice.service"), "utf8");
  t.match(unit, /^ExecStart=\/.*node \/usr\/lib\/sluice\/build\/src\/main\.js$/m);
  const file = join(root, "etc/sluice/sluice.toml");
  t.equal(statSync(file).mode & 0o777, 0o640);
  const { tls, mqtt, http } = parse(readFileSync(file, "utf8"));
  t.match(tls, { host: "::" }, "the network is served over TLS");
  t.match([mqtt, http], [{ host: "127.0.0.1" }, { host: "127.0.0.1" }], "and not without");
  t.end();
});

await test("installing again replaces the program and keeps the configuration", (t) => {
  const root = destination(t);
  install(root, "--no-build");
  const configuration = join(root, "etc/sluice/sluice.toml");
  const stale = join(root, "usr/lib/sluice/build/src/stale.js");
  writeFileSync(configuration, "[mqtt]\nport = 1884\n");
  writeFileSync(stale, "");
  t.match(install(root, "--no-build"), /keeping .*sluice\.toml/);
  t.equal(readFileSync(configuration, "utf8"), "[mqtt]\nport = 1884\n");
  t.notOk(existsSync(stale), "what the new version does not have is gone");
  t.notOk(existsSync(join(root, "usr/lib/sluice.new")));
  t.notOk(existsSync(join(root, "usr/lib/sluice.old")));
  t.end();
});

await test("an unknown argument installs nothing", (t) => {
  const root = destination(t);
  const env = { ...process.env, DESTDIR: root };
  const run = spawnSync("sh", ["systemd/install.sh", "--force"], { encoding: "utf8", env });
  t.equal(run.status, 64);
  t.match(run.stderr, /unknown argument --force/);
  t.notOk(existsSync(join(root, "usr")));
  t.end();
});
