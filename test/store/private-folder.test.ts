import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "tap";
import { systemClock, systemRandom } from "../../src/clock.ts";
import type { LogFields } from "../../src/log.ts";
import { keepPrivate } from "../../src/store/private-folder.ts";
import { openStore } from "../../src/store/store.ts";
import { AMPLE } from "./open-store.ts";
import { QUIET_LOG } from "./quiet-log.ts";

const modeOf = (path: string): number => statSync(path).mode & 0o777;

await test("the folder of a store is its owner's, whatever it was before", async (t) => {
  const path = mkdtempSync(join(tmpdir(), "sluice-store-"));
  t.teardown(() => rmSync(path, { recursive: true }));
  chmodSync(path, 0o755);
  const told: (readonly [string, LogFields | undefined])[] = [];
  const log = {
    ...QUIET_LOG,
    info: (event: string, fields?: LogFields) => told.push([event, fields]),
  };
  const store = await openStore({
    path,
    window: { gatherMs: 0, syncIntervalMs: 0 },
    quotaBytes: 0,
    history: AMPLE,
    clock: systemClock("always"),
    random: systemRandom,
    log,
    onFailure: (failure) => t.fail(String(failure)),
  });
  await store.close();
  t.equal(modeOf(path), 0o700);
  t.match(told, [["store.made_private", { path, mode: "0755" }]]);
  t.ok(readdirSync(path).length > 0, "it is the folder of the store");
  told.length = 0;
  keepPrivate(path, log);
  t.same(told, [], "one that is private already is not talked of");
});

await test("a folder that cannot be made private is warned of", (t) => {
  const told: string[] = [];
  // A file system without modes, or another's folder: /proc takes no chmod.
  keepPrivate("/proc/self", {
    info: (event) => t.fail(event),
    warn: (event) => told.push(event),
  });
  t.same(told, ["store.open_to_others"]);
  t.end();
});
