import { test } from "tap";
import { clockStateOf, Life, timeOf } from "./life.ts";
import { missingCompiler } from "../preload.ts";
import { ShiftedDaemon } from "./shifted-daemon.ts";

const YEARS_10 = 3_653 * 86_400_000;
const VERSION_DAY = Date.UTC(2026, 10, 22);
const skip = missingCompiler ?? false;

for (const step of [YEARS_10, -YEARS_10]) {
  const direction = step > 0 ? "forward" : "back";
  await test(
    `the daemon, when the clock is put ten years ${direction} while it runs`,
    { skip },
    async (t) => {
      const daemon = await ShiftedDaemon.start(t);
      const life = await Life.begin(t, daemon);
      daemon.step(step);
      await daemon.pass(1_200);
      t.equal(await clockStateOf(daemon), step > 0 ? "ahead" : "behind");
      await life.use();
      await life.check("wrong");
      daemon.step(-step);
      t.equal(await clockStateOf(daemon), "known");
      await life.use();
      await life.check("right again");
      await life.checkSession("right again");
      const log = await daemon.end("SIGTERM");
      t.match(log, new RegExp(`"event":"clock.state".*"state":"${step > 0 ? "ahead" : "behind"}"`));
    },
  );

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    await test(
      `the daemon, when the clock is put ten years ${direction} over ${signal}`,
      { skip },
      async (t) => {
        const daemon = await ShiftedDaemon.start(t);
        const life = await Life.begin(t, daemon);
        await daemon.end(signal);
        daemon.step(step);
        await daemon.begin();
        t.equal(await clockStateOf(daemon), step > 0 ? "ahead" : "behind");
        await life.use();
        await life.check("wrong");
        await daemon.end(signal);
        daemon.step(-step);
        await daemon.begin();
        t.equal(await clockStateOf(daemon), "known");
        await life.use();
        await life.check("right again");
        await life.checkSession("right again");
      },
    );
  }
}

await test(
  "a first start with a clock of 1970 begins on the day of the version, and catches up",
  { skip },
  async (t) => {
    const since1970 = Math.floor(Date.now() / 1_000) * 1_000;
    const daemon = await ShiftedDaemon.start(t, -since1970);
    t.equal(await clockStateOf(daemon), "behind");
    const shown = await timeOf(daemon);
    t.ok(shown >= VERSION_DAY && shown < VERSION_DAY + 60_000, new Date(shown).toISOString());
    daemon.step(since1970);
    t.equal(await clockStateOf(daemon), "known");
    t.ok(Math.abs((await timeOf(daemon)) - Date.now()) < 10_000);
  },
);

await test(
  "a false time that was believed is left by one start with clock.trust = reset",
  { skip },
  async (t) => {
    const daemon = await ShiftedDaemon.start(t);
    await daemon.end("SIGTERM");
    daemon.step(YEARS_10);
    await daemon.begin({ SLUICE_CLOCK__TRUST: "always" });
    t.equal(await clockStateOf(daemon), "known");
    await daemon.end("SIGTERM");
    daemon.step(-YEARS_10);
    await daemon.begin();
    t.equal(await clockStateOf(daemon), "behind");
    t.match((await daemon.did("GET", "/gateway")).json, {
      clock: { state: "behind", remedy: /clock\.trust = reset/ },
    });
    await daemon.end("SIGTERM");
    await daemon.begin({ SLUICE_CLOCK__TRUST: "reset" });
    t.equal(await clockStateOf(daemon), "known");
    await daemon.end("SIGKILL");
    await daemon.begin();
    t.equal(await clockStateOf(daemon), "known");
    t.ok(Math.abs((await timeOf(daemon)) - Date.now()) < 10_000);
  },
);
