import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import { Daemon, daemonEnvironment } from "../daemon.ts";
import { folderOf } from "./kit.ts";

export const ADMIN = "slu_0123456789abcdefghij";

export type TlsStatus = {
  readonly listeners: readonly {
    readonly protocol: string;
    readonly port: number;
    readonly encrypted: boolean;
    readonly loopback: boolean;
  }[];
  readonly tls: {
    readonly source: string;
    readonly ca: { readonly sha256_fingerprint: string };
    readonly certificate: { readonly sha256_fingerprint: string; readonly not_after: string };
    readonly last_problem: { readonly detail: string } | null;
    readonly handshakes_refused: Readonly<Record<string, number>>;
  };
};

export type TlsSite = {
  readonly daemon: Daemon;
  readonly env: NodeJS.ProcessEnv & { SLUICE_STORE__PATH: string };
  readonly mqttsPort: number;
  readonly httpsPort: number;
  readonly httpPort: number;
  /** A file with the CA, as GET /ca.crt gives it. */
  readonly ca: string;
  readonly status: () => Promise<TlsStatus>;
  readonly makeCredential: (user: string) => Promise<{ username: string; password: string }>;
};

/** The daemon with its TLS ports on loopback; `more` lies over its environment. */
export async function openTlsSite(t: Test, more: NodeJS.ProcessEnv = {}): Promise<TlsSite> {
  const env = {
    ...daemonEnvironment(t),
    SLUICE_TLS__MQTT_PORT: "0",
    SLUICE_TLS__HTTPS_PORT: "0",
    SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN,
    ...more,
  };
  const daemon = new Daemon(t, [], env);
  const { mqttsPort = 0, httpsPort = 0, httpPort } = await daemon.ready;
  const url = `http://127.0.0.1:${httpPort}`;
  const ca = join(folderOf(t), "ca.crt");
  const fetched = await fetch(`${url}/ca.crt`);
  if (fetched.ok) writeFileSync(ca, await fetched.text());
  const headers = { authorization: `Bearer ${ADMIN}`, "content-type": "application/json" };
  return {
    ...{ daemon, env, mqttsPort, httpsPort, httpPort, ca },
    status: async () => (await (await fetch(`${url}/gateway`, { headers })).json()) as TlsStatus,
    makeCredential: async (user) => {
      const resources = [{ entity: "things", id: ["*"], definition: true }];
      const body = JSON.stringify({ user, resources });
      const made = await fetch(`${url}/site/mqtt`, { method: "POST", headers, body });
      return (await made.json()) as { username: string; password: string };
    },
  };
}

export type Ran = { readonly code: number | null; readonly output: string };

/** A client of somebody else; gone with the test. */
export async function run(
  t: Test,
  program: string,
  args: readonly string[],
  input = "",
): Promise<Ran> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  t.teardown(() => child.kill("SIGKILL"));
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}
