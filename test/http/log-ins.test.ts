import { test } from "tap";
import { LogIns } from "../../src/http/log-ins.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import type { AuditRecord } from "../../src/store/audit.ts";

await test("a person with many addresses fills no log: so many an hour are recorded", (t) => {
  const recorded: AuditRecord[] = [];
  const record = (row: AuditRecord): void => void recorded.push(row);
  const time = { ms: 0 };
  const logIns = new LogIns({ monotonicMs: () => time.ms }, { record });
  const channel = { kind: "plain", isLoopback: false } as const;
  const fromAll = (): void => {
    for (let n = 0; n < 250; n += 1) logIns.note("vic", { address: `192.0.2.${n}`, channel });
  };
  fromAll();
  t.equal(recorded.length, FIXED_LIMITS.auditLogInsPerHour);
  logIns.note("ann", { address: "192.0.2.200", channel });
  t.equal(recorded.at(-1)?.principal, "user ann", "it costs nobody else his");
  time.ms += 3_600_000;
  fromAll();
  t.equal(recorded.length, 2 * FIXED_LIMITS.auditLogInsPerHour + 1);
  t.end();
});
