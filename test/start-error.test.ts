import { test } from "tap";
import { GatewayError } from "../src/errors.ts";
import { exitCodeOf, explain, StartError } from "../src/start-error.ts";

const coded = (code: string, syscall?: string, cause?: unknown): Error =>
  Object.assign(new Error(code, { cause }), { code, syscall });

await test("the exit code says what a supervisor can do", (t) => {
  const cases: readonly (readonly [string, unknown, number])[] = [
    ["a port in use", coded("EADDRINUSE", "listen"), 75],
    ["an address that is not up yet", coded("EADDRNOTAVAIL", "listen"), 75],
    ["a port that only root may take", coded("EACCES", "listen"), 78],
    ["a host that does not resolve", coded("ENOTFOUND", "getaddrinfo"), 78],
    ["a store that may not be read", coded("EACCES", "open"), 74],
    ["a full disk", coded("ENOSPC", "write"), 74],
    ["a read-only disk", coded("EROFS", "mkdir"), 74],
    ["a damaged database", coded("LEVEL_CORRUPTION"), 74],
    [
      "a database another process holds",
      coded("LEVEL_DATABASE_NOT_OPEN", undefined, coded("LEVEL_LOCKED")),
      75,
    ],
    [
      "a lock found while the store failed",
      new GatewayError("storage-failed", "cannot open", { cause: coded("LEVEL_LOCKED") }),
      75,
    ],
    ["a store that failed", new GatewayError("storage-failed", "cannot write"), 74],
    ["what decides itself", new StartError(78, "no"), 78],
    ["what decides itself, deeper", new Error("a", { cause: new StartError(64, "no") }), 64],
    ["a bug", new TypeError("undefined is not a function"), 75],
    ["no error at all", "text", 75],
  ];
  for (const [name, error, code] of cases) t.equal(exitCodeOf(error), code, name);
  t.end();
});

await test("who has to see to it reads what failed, why, and what to do, in one line", (t) => {
  const opening = (cause: Error): GatewayError =>
    new GatewayError("storage-failed", "could not open the database in /s", { cause });
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [
      opening(
        Object.assign(new Error("EROFS: read-only file system, open '/s/a'"), { code: "EROFS" }),
      ),
      /^could not open the database in \/s: EROFS: .*'\/s\/a'; mount it writable/,
    ],
    [
      opening(new Error("failed", { cause: new Error("IO error: /s/1.log: Permission denied") })),
      /; the store and all that is in it must belong to the user/,
    ],
    [opening(new Error("ENOSPC: no space left on device")), /; free space/],
    [opening(new Error("IO error: /s/1.log: Input/output error")), /; the disk fails/],
    [opening(new Error("something else")), /^could not open the database in \/s: something else$/],
    [
      opening(
        Object.assign(new Error("IO error: lock /s/db/LOCK: Resource temporarily unavailable"), {
          code: "LEVEL_LOCKED",
        }),
      ),
      /; another gateway has this store open: stop it/,
    ],
    [
      Object.assign(new Error("listen EADDRINUSE: address already in use 127.0.0.1:1883"), {
        code: "EADDRINUSE",
      }),
      /127\.0\.0\.1:1883; another program listens there: .*another port$/,
    ],
    [coded("EACCES", "listen"), /^EACCES$/],
    ["text", /^text$/],
  ];
  for (const [error, expected] of cases) t.match(explain(error), expected);
  t.end();
});
