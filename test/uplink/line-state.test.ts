import { test } from "tap";
import type { LogFields } from "../../src/log.ts";
import { LineFailure, type LineFailureKind } from "../../src/uplink/line-failure.ts";
import { LineState } from "../../src/uplink/line-state.ts";
import { ManualClock } from "../store/manual-clock.ts";

await test("the log tells each change, and each other reason why there is no line", (t) => {
  const clock = new ManualClock();
  const told: string[] = [];
  const note = (event: string, { error }: LogFields = {}): void => {
    told.push([event, ...(typeof error === "string" ? [error] : [])].join(": "));
  };
  const log = { error: note, warn: note, info: note, debug: note };
  const state = new LineState("up", false, clock, log);
  const since = clock.wallMs();
  let nth = 0;
  const fail = (kind: LineFailureKind): void => {
    nth += 1;
    clock.advance(1_000);
    if (state.shown.state !== "connected") state.trying();
    state.failed(new LineFailure(kind, `${kind} ${nth}`));
  };
  const logged = (): readonly string[] => told.splice(0);
  for (const kind of ["unreachable", "unreachable", "tls", "tls"] as const) fail(kind);
  t.same(
    logged(),
    ["uplink.connecting: unreachable 1", "uplink.connecting: tls 3"],
    "from the start on",
  );
  t.match(state.shown, { state: "connecting", since, failed: 4, lastError: { detail: "tls 4" } });
  for (const kind of ["refused", "refused", "unreachable"] as const) fail(kind);
  t.same(logged(), ["uplink.refused: refused 5", "uplink.connecting: unreachable 7"]);
  state.connected();
  fail("closed");
  state.connected();
  fail("closed");
  t.same(logged(), [
    ...["uplink.connected", "uplink.connecting: closed 8"],
    ...["uplink.connected", "uplink.connecting: closed 9"],
  ]);
  state.paused();
  t.same(logged(), ["uplink.paused"]);
  t.match(state.shown, { state: "paused", opened: 2, failed: 9, since: clock.wallMs() });
  t.end();
});
