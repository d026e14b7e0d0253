import { once } from "node:events";
import {
  chmodSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type Test } from "tap";
import { startHttp } from "../../src/http/server.ts";
import { startGateway } from "./harness.ts";

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-local-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

async function get(socketPath: string, path: string): Promise<number | undefined> {
  const asked = request({ socketPath, path }).end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

await test("the Unix socket answers as the port does, only its owner may open it, and a stop takes it away", async (t) => {
  const { deps } = await startGateway(t);
  const path = join(folderOf(t), "admin.sock");
  const server = await startHttp(deps, [{ kind: "local", path }]);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.equal(await get(path, "/healthz"), 200);
  t.equal(await get(path, "/gateway"), 200, "without a token: it is the administrator's");
  t.same(server.ports, {});
  await server.stop();
  t.throws(() => statSync(path), { code: "ENOENT" });
});

await test("a socket left behind by a killed process is replaced; one in use and a file that is none are not", async (t) => {
  const { deps } = await startGateway(t);
  const folder = folderOf(t);
  const stale = join(folder, "stale.sock");
  const killed = createServer().listen(stale);
  await once(killed, "listening");
  // Closing it would remove the file: a hard link keeps a socket that nobody listens on.
  const path = join(folder, "admin.sock");
  linkSync(stale, path);
  killed.close();
  await once(killed, "close");
  const server = await startHttp(deps, [{ kind: "local", path, mode: 0o660 }]);
  t.equal(statSync(path).mode & 0o777, 0o660);
  await t.rejects(startHttp(deps, [{ kind: "local", path }]), { code: "EADDRINUSE" });
  t.equal(await get(path, "/healthz"), 200, "the one that was there is there still");
  await server.stop();
  writeFileSync(path, "notes");
  chmodSync(path, 0o600);
  await t.rejects(startHttp(deps, [{ kind: "local", path }]), { code: "EADDRINUSE" });
  t.equal(readFileSync(path, "utf8"), "notes");
});

await test("from its first moment the socket is nobody else's, whatever the umask", async (t) => {
  const { deps } = await startGateway(t);
  const path = join(folderOf(t), "admin.sock");
  const umask = process.umask(0);
  t.teardown(() => process.umask(umask));
  const starting = startHttp(deps, [{ kind: "local", path, mode: 0o660 }]);
  let first: number | undefined;
  // Before anything that the event loop brings: the server is told only then that it listens.
  for (let turn = 0; turn < 1_000 && first === undefined; turn += 1) {
    await Promise.resolve();
    first = statSync(path, { throwIfNoEntry: false })?.mode;
  }
  t.equal((first ?? 0o777) & 0o077, 0);
  t.equal(process.umask(0), 0, "other files are made as before");
  const server = await starting;
  t.equal(statSync(path).mode & 0o777, 0o660);
  await server.stop();
});

await test("one endpoint that cannot be listened on leaves none of the others open", async (t) => {
  const { deps, port } = await startGateway(t);
  const path = join(folderOf(t), "admin.sock");
  const taken = { kind: "plain", host: "127.0.0.1", port } as const;
  await t.rejects(startHttp(deps, [{ kind: "local", path }, taken]), { code: "EADDRINUSE" });
  t.throws(() => statSync(path), { code: "ENOENT" });
});
