import { once } from "node:events";
import { connect } from "node:net";
import { test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { run } from "../tls/site.ts";
import { closed, startBox, WITH_TLS } from "./box.ts";

/** The head of a record, and the first byte of a ClientHello that never comes. */
const BEGUN = Buffer.from("160301020001", "hex");

await test("a handshake that is never finished is cut off in time, and one of too old a version is refused: both are told", async (t) => {
  const box = await startBox(t, { ...WITH_TLS, SLUICE_TLS__MIN_VERSION: "TLSv1.3" });
  const ports = [box.mqttsPort, box.httpsPort];
  const startedMs = performance.now();
  const begun = ports.flatMap((port) => [BEGUN, Buffer.alloc(0)].map((said) => ({ port, said })));
  const cut = begun.map(async ({ port, said }) => {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    if (said.length > 0) socket.write(said);
    await closed(socket);
    return performance.now() - startedMs;
  });

  for (const port of ports) {
    const at = ["s_client", "-connect", `localhost:${port}`, "-brief"];
    t.not((await run(t, "openssl", [...at, "-tls1_2"])).code, 0, `${port} does not speak TLS 1.2`);
    t.match(await run(t, "openssl", [...at, "-tls1_3"]), { code: 0, output: "TLSv1.3" });
  }
  const version = { cause: "tls-version", protocol: "tls", address: "127.0.0.1", count: 2 };
  t.match(await box.refusals(), [{ ...version, detail: /no version of TLS/ }]);

  for (const afterMs of await Promise.all(cut)) {
    t.ok(afterMs > FIXED_LIMITS.tlsHandshakeMsMax - 500, `not before its time: ${afterMs}`);
    t.ok(afterMs < FIXED_LIMITS.tlsHandshakeMsMax + 5_000, `and not long after: ${afterMs}`);
  }
  const late = { cause: "tls-handshake", protocol: "tls", detail: /did not finish .* in time/ };
  t.match(
    await box.refusals(),
    [{ ...late, count: 2 }, version],
    "who said nothing is not told of",
  );
});
