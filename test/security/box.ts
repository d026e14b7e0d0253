import { readFileSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import type { Test } from "tap";
import { REFUSAL_CAUSES, type RefusalCause } from "../../src/refusal-causes.ts";
import { Daemon, daemonEnvironment } from "../daemon.ts";
import { folderOf } from "../tls/kit.ts";
import { makeRequest } from "../tls/openssl.ts";

export const TOKEN = "slu_refusals-through-the-real-ports";

/** Listeners with TLS, too, on loopback. */
export const WITH_TLS = { SLUICE_TLS__MQTT_PORT: "0", SLUICE_TLS__HTTPS_PORT: "0" } as const;

/** As GET /gateway/refusals shows it. */
export type Refusal = {
  readonly cause: RefusalCause;
  readonly title: string;
  readonly remedy: string;
  readonly detail: string;
  readonly protocol: string;
  readonly address: string;
  readonly client: string | null;
  readonly user: string | null;
  readonly topic: string | null;
  readonly count: number;
};

/** The daemon as its own process, and what is asked of it as its admin. */
export type Box = {
  readonly daemon: Daemon;
  readonly mqttPort: number;
  readonly httpPort: number;
  readonly mqttsPort: number;
  readonly httpsPort: number;
  readonly call: (method: string, path: string, json?: unknown, auth?: string) => Promise<Response>;
  readonly refusals: (query?: string) => Promise<readonly Refusal[]>;
  /** Ended with the test, whatever becomes of it. */
  readonly client: (options: IClientOptions) => MqttClient;
};

/** `env` lies over that of a box on loopback; with a `boiler` in the account `site`. */
export async function startBox(t: Test, env: NodeJS.ProcessEnv = {}): Promise<Box> {
  const box = await serveBox(t, {
    ...daemonEnvironment(t),
    SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN,
    ...env,
  });
  await box.call("PUT", "/site/things/boiler", { properties: { target: { type: "number" } } });
  return box;
}

/** With nothing in it but what was there before. `admin`: how its owner logs in. */
export async function serveBox(
  t: Test,
  env: NodeJS.ProcessEnv,
  admin = `Bearer ${TOKEN}`,
): Promise<Box> {
  const daemon = new Daemon(t, [], env);
  const { mqttPort, httpPort, mqttsPort = 0, httpsPort = 0 } = await daemon.ready;
  const call: Box["call"] = async (method, path, json, auth = admin) =>
    fetch(`http://127.0.0.1:${httpPort}${path}`, {
      method,
      headers: {
        ...(auth === "" ? {} : { authorization: auth }),
        "content-type": "application/json",
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
  return {
    ...{ daemon, mqttPort, httpPort, mqttsPort, httpsPort, call },
    refusals: async (query = "") => {
      const { data } = (await (await call("GET", `/gateway/refusals${query}`)).json()) as {
        readonly data: readonly Refusal[];
      };
      return data;
    },
    client: (options) => {
      const made = mqtt.connect({
        ...{ host: "127.0.0.1", port: mqttPort, reconnectPeriod: 0 },
        ...options,
      });
      made.on("error", () => undefined);
      t.teardown(() => made.end(true));
      return made;
    },
  };
}

/** Its path. The password is `right-for-<user>`. */
export async function makeCredential(box: Box, user: string, more: object = {}): Promise<string> {
  const resources = [{ entity: "things", id: ["boiler"] }];
  const password = `right-for-${user}`;
  const reply = await box.call("POST", "/site/mqtt", { resources, user, password, ...more });
  if (reply.status !== 201) throw new Error(await reply.text());
  return reply.headers.get("location") ?? "";
}

/** What a client shows: files, and what is in them. */
export type Shown = {
  readonly path: string;
  readonly files: { readonly cert: string; readonly key: string };
  readonly cert: Buffer;
  readonly key: Buffer;
};

/** Has the box sign a certificate for the credential at `path`. */
export async function makeCertificate(t: Test, box: Box, path: string): Promise<Shown> {
  const folder = folderOf(t);
  const csr = makeRequest(folder, "device").toString();
  const reply = await box.call("POST", `${path}/certificates`, { csr });
  const { certificate, serial } = (await reply.json()) as Readonly<Record<string, string>>;
  const files = { cert: join(folder, "device.crt"), key: join(folder, "device.key") };
  writeFileSync(files.cert, certificate ?? "");
  const [cert, key] = [readFileSync(files.cert), readFileSync(files.key)];
  return { path: `${path}/certificates/${serial ?? ""}`, files, cert, key };
}

/** A file with the CA, as the box gives it. */
export async function fetchCa(t: Test, box: Box): Promise<string> {
  const file = join(folderOf(t), "ca.crt");
  writeFileSync(file, await (await box.call("GET", "/ca.crt", undefined, "")).text());
  return file;
}

/** Tries to connect, and resolves when that has come to its end. */
export async function tryConnect(box: Box, options: IClientOptions): Promise<MqttClient> {
  const client = box.client(options);
  await new Promise<void>((resolve) => {
    for (const event of ["connect", "close"] as const) client.once(event, () => resolve());
  });
  return client;
}

/** Resolves when the gateway has hung up, however it did so. */
export async function closed(socket: Socket): Promise<void> {
  socket.on("error", () => undefined);
  socket.resume();
  if (socket.closed) return;
  await new Promise<void>((resolve) => void socket.once("close", () => resolve()));
}

/** The causes that a test of this process has seen told through the ports. */
export const seenCauses = new Set<RefusalCause>();

type Expected = { readonly cause: RefusalCause } & {
  readonly [Key in keyof Omit<Refusal, "cause">]?: Refusal[Key] | RegExp;
};

/**
 * The newest refusal that the box shows is this one, with what it means and what to do about it. It is
 * asked again until it is there: a client may be done before the gateway has noticed.
 */
export async function told(t: Test, box: Box, expected: Expected, query = ""): Promise<void> {
  const { cause } = expected;
  const { title, remedy } = REFUSAL_CAUSES[cause];
  let found: Refusal | undefined;
  for (let round = 0; round < 40 && found?.cause !== cause; round += 1) {
    if (round > 0) await new Promise((resolve) => setTimeout(resolve, 25));
    [found] = await box.refusals(query);
  }
  const address = "127.0.0.1";
  const isTold = t.match(found, { address, title, remedy, ...expected }, `${cause} ${query}`);
  if (isTold) seenCauses.add(cause);
}
