import { once } from "node:events";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { connect as connectTcp, type AddressInfo } from "node:net";
import { connect, createServer, type TLSSocket } from "node:tls";
import { test, type Test } from "tap";
import { secureServer, tlsOptions, type TlsRefusal } from "../../src/tls/secure-server.ts";
import type { ServerIdentity } from "../../src/tls/server-identity.ts";
import { ManualClock } from "../store/manual-clock.ts";
import { DAY_MS, folderOf, foreignPair, Machine, openIdentity, openssl } from "./kit.ts";
import { run } from "./site.ts";

/** Answers each message with itself, as whoever `identity` says. */
async function openEcho(t: Test, identity: ServerIdentity) {
  const refused: TlsRefusal[] = [];
  const listening = { identity, onRefused: (refusal: TlsRefusal) => void refused.push(refusal) };
  const server = createServer(tlsOptions(listening), (socket) => void socket.pipe(socket));
  const end = secureServer(server, listening);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.close();
    end();
  });
  return { port: (server.address() as AddressInfo).port, refused };
}

async function open(t: Test, port: number, options: object = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
  t.teardown(() => socket.destroy());
  await once(socket, "secureConnect");
  return socket;
}

async function echo(socket: TLSSocket, text: string): Promise<string> {
  socket.write(text);
  return String((await once(socket, "data"))[0]);
}

await test("a connection goes on over a renewal, and the next one gets the new certificate", async (t) => {
  const clock = new ManualClock();
  const identity = await openIdentity(folderOf(t), clock);
  const { port } = await openEcho(t, identity);
  const before = await open(t, port, { ca: identity.authority.pem, rejectUnauthorized: true });
  t.equal(before.getPeerCertificate().fingerprint256, identity.certificate.fingerprint256);
  clock.wall += 300 * DAY_MS;
  await identity.check();
  const after = await open(t, port, { ca: identity.authority.pem, rejectUnauthorized: true });
  t.equal(after.getPeerCertificate().fingerprint256, identity.certificate.fingerprint256);
  t.not(after.getPeerCertificate().fingerprint256, before.getPeerCertificate().fingerprint256);
  t.equal(await echo(before, "still here"), "still here");
  t.same(identity.log.events, ["tls.certificate_changed"]);
});

await test("its own timer looks after it, and ends with it", async (t) => {
  const clock = new ManualClock();
  const machine = new Machine();
  const identity = await openIdentity(folderOf(t), clock, {}, machine);
  const changed = new Promise<void>((resolve) => void identity.onChange(resolve));
  identity.start();
  machine.name = "press-4";
  clock.advance(10_000);
  await changed;
  t.ok(identity.describe().names.includes("press-4.local"));
  identity.stop();
  await identity.check();
  t.equal(clock.waiting, 0);
});

await test("new files are proven before they are used: a bad pair leaves the old one, and says why", async (t) => {
  const folder = folderOf(t);
  const clock = Object.assign(new ManualClock(), { wall: Date.now() + DAY_MS });
  const [first, second] = [foreignPair(folder, "first"), foreignPair(folder, "second")];
  const client = foreignPair(folder, "client", { use: "clientAuth" });
  const files = { cert: `${folder}/live.crt`, key: `${folder}/live.key` };
  const put = (cert: string, key: string): void => {
    copyFileSync(cert, files.cert);
    copyFileSync(key, files.key);
  };
  put(first.cert, first.key);
  const identity = await openIdentity(folder, clock, { files });
  const { port } = await openEcho(t, identity);
  const old = await open(t, port);
  const { fingerprint } = identity.describe();
  t.equal(identity.describe().source, "file");

  const encrypted = openssl(["pkcs8", "-topk8", "-passout", "pass:secret", "-in", second.key]);
  writeFileSync(`${folder}/encrypted.key`, encrypted);
  writeFileSync(`${folder}/junk.pem`, "junk");
  const chain = readFileSync(second.cert, "utf8") + readFileSync(first.cert, "utf8");
  writeFileSync(`${folder}/chain.crt`, chain);
  const junk = `${folder}/junk.pem`;
  for (const [cert, key, fault] of [
    [second.cert, first.key, /the key is not the one/],
    [junk, second.key, /no certificate in PEM/],
    [second.cert, junk, /key cannot be read/],
    [second.cert, `${folder}/encrypted.key`, /needs a passphrase/],
    [`${folder}/chain.crt`, second.key, /certificate 1 of the chain is not issued/],
    [client.cert, client.key, /not for servers/],
  ] as const) {
    put(cert, key);
    await identity.check();
    t.equal(identity.describe().problem, undefined, "the other file may be on its way");
    await identity.check();
    t.match(identity.describe().problem?.detail, fault);
    t.equal(identity.describe().fingerprint, fingerprint);
    t.equal((await open(t, port)).getPeerCertificate().fingerprint256, fingerprint);
    put(first.cert, first.key);
    await identity.check();
    t.equal(identity.describe().problem, undefined);
  }

  put(second.cert, second.key);
  await identity.check();
  t.match((await open(t, port)).getPeerCertificate().subject.CN, "second");
  t.equal(await echo(old, "hello"), "hello");
});

await test("a new pair that has ended is not taken; one in use that ends serves on, and is told of", async (t) => {
  const folder = folderOf(t);
  const clock = Object.assign(new ManualClock(), { wall: Date.now() + DAY_MS });
  const [long, short] = [foreignPair(folder, "long"), foreignPair(folder, "short", { days: 40 })];
  const files = { cert: `${folder}/live.crt`, key: `${folder}/live.key` };
  copyFileSync(short.cert, files.cert);
  copyFileSync(short.key, files.key);
  const identity = await openIdentity(folder, clock, { files });
  t.equal(identity.describe().problem, undefined);
  clock.wall += 20 * DAY_MS;
  await identity.check();
  t.match(identity.describe().problem?.detail, /ends on/);
  clock.wall += 30 * DAY_MS;
  const { port } = await openEcho(t, identity);
  t.ok(await open(t, port));
  copyFileSync(long.cert, files.cert);
  copyFileSync(long.key, files.key);
  await identity.check();
  t.equal(identity.describe().problem, undefined);
  copyFileSync(short.cert, files.cert);
  copyFileSync(short.key, files.key);
  await identity.check();
  await identity.check();
  t.match(identity.describe().problem?.detail, /ended on/);
  t.match(identity.certificate.subject, "CN=long");
});

await test("files that make no pair end a start with 78", async (t) => {
  const folder = folderOf(t);
  const { cert } = foreignPair(folder, "one");
  const { key } = foreignPair(folder, "other");
  const clock = new ManualClock();
  await t.rejects(openIdentity(folder, clock, { files: { cert, key } }), {
    exitCode: 78,
    message: /the key is not the one/,
  });
  const gone = { cert: `${folder}/nowhere.crt`, key };
  await t.rejects(openIdentity(folder, clock, { files: gone }), {
    exitCode: 78,
    message: /nowhere\.crt/,
  });
});

await test("a failed handshake is told with its address and why, also when the client has gone at once", async (t) => {
  const identity = await openIdentity(folderOf(t), new ManualClock());
  const { port, refused } = await openEcho(t, identity);
  const fails = async (...args: readonly string[]): Promise<void> => {
    const all = ["s_client", "-connect", `127.0.0.1:${port}`, "-verify_return_error", ...args];
    await run(t, "openssl", all);
  };
  await fails("-CAfile", "/etc/ssl/certs/ca-certificates.crt");
  await fails("-tls1_1", "-cipher", "ALL:@SECLEVEL=0");
  t.same(
    refused.map(({ address, cause }) => [address, cause]),
    [
      ["127.0.0.1", "unknown-ca"],
      ["127.0.0.1", "tls-version"],
    ],
  );
});

await test("who hangs up in the middle of a handshake is told of; who only looks whether the port is open is not", async (t) => {
  const identity = await openIdentity(folderOf(t), new ManualClock());
  const { port, refused } = await openEcho(t, identity);
  const scan = connectTcp({ port, host: "127.0.0.1", localAddress: "127.0.0.9" });
  await once(scan, "connect");
  scan.destroy();
  const half = connectTcp(port, "127.0.0.1");
  // The head of a record, and the first bytes of a ClientHello that says it is longer.
  half.write(Buffer.from("1603010100010000fc0303", "hex"));
  await once(half, "connect");
  half.end();
  while (!refused.some(({ address }) => address === "127.0.0.1")) await new Promise(setImmediate);
  t.same(
    refused.map(({ address, cause }) => [address, cause]),
    [["127.0.0.1", "tls-handshake"]],
  );
});

await test("suites that are not forward secret are not spoken", async (t) => {
  const identity = await openIdentity(folderOf(t), new ManualClock());
  const { port } = await openEcho(t, identity);
  const weak = { maxVersion: "TLSv1.2", ciphers: "AES128-GCM-SHA256:AES256-SHA" };
  await t.rejects(open(t, port, weak));
  const strong = await open(t, port, { maxVersion: "TLSv1.2" });
  t.match(strong.getCipher().name, /^ECDHE-.*(GCM|POLY1305)/);
});

await test("tls.min_version TLSv1.3 refuses 1.2", async (t) => {
  const identity = await openIdentity(folderOf(t), new ManualClock(), { minVersion: "TLSv1.3" });
  const { port } = await openEcho(t, identity);
  await t.rejects(open(t, port, { maxVersion: "TLSv1.2" }));
  t.equal((await open(t, port)).getProtocol(), "TLSv1.3");
});
