import { join } from "node:path";
import type { AdminSocket } from "./config-admin.ts";
import type { Config } from "./config.ts";
import { claimUrls } from "./gateway-claim-notice.ts";
import type { ClaimPlaces } from "./http/call.ts";
import type { HttpEndpoint } from "./http/endpoint.ts";
import { startHttp, type HttpDeps, type HttpServer } from "./http/server.ts";
import type { Log } from "./log.ts";
import { isLoopbackHost } from "./loopback.ts";
import type { MqttBroker } from "./mqtt/broker.ts";
import type { MqttEndpoint, MqttPorts } from "./mqtt/listeners.ts";
import type { Store } from "./store/store.ts";
import type { JsonObject } from "./thing/json.ts";
import { formatTime } from "./thing/time.ts";
import type { TlsListening, TlsRefusal } from "./tls/secure-server.ts";
import { ServerIdentity, type TlsDeps } from "./tls/server-identity.ts";

const TLS_PORTS = { mqtt: 8883, https: 8443 } as const;

/** One address and port, as status views show it. */
type ShownListener = {
  readonly protocol: "mqtt" | "http";
  readonly host: string;
  readonly port: number;
  readonly encrypted: boolean;
  readonly loopback: boolean;
};

/** Where TLS is listened for: a host, or one of the ports, is given; `undefined`: nowhere. */
function tlsPlace({ tls }: Config) {
  const { host, mqtt_port: mqttPort, https_port: httpsPort } = tls;
  if (host === undefined && mqttPort === undefined && httpsPort === undefined) return undefined;
  return {
    host: host ?? "127.0.0.1",
    mqttPort: mqttPort ?? TLS_PORTS.mqtt,
    httpsPort: httpsPort ?? TLS_PORTS.https,
  };
}

/** Can nobody but this machine reach any of the listeners? */
export function isOnLoopbackOnly(config: Config): boolean {
  const hosts = [config.mqtt.host, config.http.host, tlsPlace(config)?.host ?? "localhost"];
  return hosts.every(isLoopbackHost);
}

/**
 * The gateway's identity, if there is a listener with TLS. The CA is made here, at the first start.
 * @throws StartError; Error of the file system.
 */
export async function openIdentity(
  config: Config,
  { gatewayId }: Store,
  deps: TlsDeps,
): Promise<ServerIdentity | undefined> {
  if (tlsPlace(config) === undefined) return undefined;
  const { cert_file: cert, key_file: key, names, min_version: minVersion } = config.tls;
  const files = cert === undefined || key === undefined ? {} : { files: { cert, key } };
  const folder = join(config.store.path, "pki");
  const identity = await ServerIdentity.open(
    { folder, gatewayId, names, minVersion, ...files },
    deps,
  );
  const { source, fingerprint } = identity.describe();
  deps.log.info("tls.identity", { source, ca: identity.authority.fingerprint, fingerprint });
  return identity;
}

export type ListeningDeps = {
  readonly config: Config;
  /** `undefined`: there is no listener with TLS. */
  readonly identity: ServerIdentity | undefined;
  readonly log: Log;
  /** Where the command line reaches the gateway; `undefined`: nowhere. */
  readonly adminSocket: AdminSocket | undefined;
};

/** Where the edges listen, and what status views say of it. */
export class Listening {
  readonly #deps: ListeningDeps;
  /** Failed handshakes, by cause. */
  readonly #refused = new Map<string, number>();
  #mqttPorts: MqttPorts = {};
  #http: HttpServer | undefined;
  #shown: readonly ShownListener[] = [];

  constructor(deps: ListeningDeps) {
    this.#deps = deps;
  }

  /** @throws the error of `listen`. */
  async open(mqtt: MqttBroker, given: HttpDeps): Promise<void> {
    const { config, identity, log } = this.#deps;
    const onRefused = (refusal: TlsRefusal): void => {
      given.refusals.note({ protocol: "tls", ...refusal });
      this.#noteRefusal(refusal);
    };
    const endpoints = endpointsOf(config, identity && { identity, onRefused });
    const local = localEndpoints(this.#deps);
    this.#mqttPorts = await mqtt.listen(endpoints.mqtt);
    const { mqttPort, mqttsPort } = this.ports;
    // One that is picked is known only when it is listened on.
    const httpsPort = (): number | undefined => this.#http?.ports.tls;
    const deps: HttpDeps = {
      ...given,
      mqttPort,
      ...(mqttsPort === undefined ? {} : { mqttsPort }),
      ...caOf(identity),
      get httpsPort() {
        return httpsPort();
      },
    };
    this.#http = await startHttp(deps, [...endpoints.http, ...local]);
    const ports = { mqtt: this.#mqttPorts, http: this.#http.ports };
    this.#shown = shownListeners(endpoints, ports);
    for (const { protocol, host, port } of this.#shown.filter(isOpenToListeners)) {
      const remedy = "set its host to 127.0.0.1, and let devices use the port with TLS";
      log.warn("listener.unencrypted", { protocol, host, port, remedy });
    }
    identity?.start();
  }

  /** For whoever waits for the start. */
  get ports() {
    const { plain: mqttPort = 0, tls: mqttsPort } = this.#mqttPorts;
    const { plain: httpPort = 0, tls: httpsPort } = this.#http?.ports ?? {};
    return {
      ...{ mqttPort, httpPort },
      ...(mqttsPort === undefined ? {} : { mqttsPort }),
      ...(httpsPort === undefined ? {} : { httpsPort }),
    };
  }

  /** Where a claim code is typed: over TLS first. */
  claimPlaces(): ClaimPlaces {
    const { config, identity } = this.#deps;
    const { plain, tls } = this.#http?.ports ?? {};
    const host = tlsPlace(config)?.host;
    const secure = host === undefined || tls === undefined ? undefined : { host, port: tls };
    return {
      urls: claimUrls({ host: config.http.host, port: plain ?? 0 }, secure),
      caSha256: caOf(identity).authority?.fingerprint,
    };
  }

  /** For GET /gateway. */
  describe(): JsonObject {
    const { identity } = this.#deps;
    return {
      listeners: this.#shown.map((listener) => ({ ...listener })),
      tls: identity === undefined ? null : describeTls(identity, this.#refused),
    };
  }

  /** For an operator's line: nothing if all is as it should be. */
  line(): string {
    const open = this.#shown
      .filter(isOpenToListeners)
      .map(({ protocol, host, port }) => `, ${protocol} on ${host}:${port} is not encrypted`);
    const problem = this.#deps.identity?.describe().problem;
    return open.join("") + (problem === undefined ? "" : `, TLS: ${problem.detail}`);
  }

  /** HTTP takes no more requests, and has answered those it took. MQTT is stopped by its broker. */
  async stopHttp(): Promise<void> {
    this.#deps.identity?.stop();
    await this.#http?.stop();
  }

  #noteRefusal({ address, cause, detail }: TlsRefusal): void {
    this.#refused.set(cause, (this.#refused.get(cause) ?? 0) + 1);
    this.#deps.log.debug("tls.handshake_failed", { address, cause, detail });
  }
}

function localEndpoints({ adminSocket, log }: ListeningDeps): readonly HttpEndpoint[] {
  if (adminSocket === undefined) return [];
  const { path, isTooLong, isForGroup } = adminSocket;
  if (!isTooLong) return [{ kind: "local", path, mode: isForGroup ? 0o660 : 0o600 }];
  log.warn("admin.no_socket", { path, remedy: "set admin.socket to a path of up to 107 bytes" });
  return [];
}

type Endpoints = {
  readonly mqtt: readonly MqttEndpoint[];
  readonly http: readonly HttpEndpoint[];
};

function endpointsOf(config: Config, tls: TlsListening | undefined): Endpoints {
  const { mqtt, http } = config;
  const place = tlsPlace(config);
  const kind = "plain";
  const plain = {
    mqtt: { kind, host: mqtt.host, port: mqtt.port },
    http: { kind, host: http.host, port: http.port },
  } as const;
  if (place === undefined || tls === undefined) return { mqtt: [plain.mqtt], http: [plain.http] };
  const { host, mqttPort, httpsPort } = place;
  return {
    mqtt: [plain.mqtt, { kind: "tls", host, port: mqttPort, tls }],
    http: [plain.http, { kind: "tls", host, port: httpsPort, tls }],
  };
}

type Ports = Readonly<Partial<Record<"plain" | "tls", number>>>;

function shownListeners(
  { mqtt, http }: Endpoints,
  ports: { readonly mqtt: Ports; readonly http: Ports },
): readonly ShownListener[] {
  const shown = (protocol: "mqtt" | "http", endpoint: MqttEndpoint | HttpEndpoint) => {
    if (endpoint.kind === "local") return [];
    const { kind, host } = endpoint;
    const port = ports[protocol][kind] ?? endpoint.port;
    return [{ protocol, host, port, encrypted: kind === "tls", loopback: isLoopbackHost(host) }];
  };
  return [
    ...mqtt.flatMap((endpoint) => shown("mqtt", endpoint)),
    ...http.flatMap((endpoint) => shown("http", endpoint)),
  ];
}

/** Others can reach it, and hear what is said. */
function isOpenToListeners({ encrypted, loopback }: ShownListener): boolean {
  return !encrypted && !loopback;
}

/** What devices have to be given: nothing of ours where the certificate is the operator's. */
function caOf(identity: ServerIdentity | undefined): Pick<HttpDeps, "authority" | "caPem"> {
  if (identity?.describe().source !== "own") return {};
  const { authority } = identity;
  return { authority, caPem: authority.pem };
}

function describeTls(identity: ServerIdentity, refused: ReadonlyMap<string, number>): JsonObject {
  const { authority } = identity;
  const { source, minVersion, fingerprint, notAfterMs, names, problem } = identity.describe();
  return {
    min_version: minVersion,
    source,
    ca: {
      sha256_fingerprint: authority.fingerprint,
      not_after: formatTime(authority.notAfterMs),
    },
    certificate: {
      sha256_fingerprint: fingerprint,
      not_after: formatTime(notAfterMs),
      names: [...names],
    },
    last_problem:
      problem === undefined ? null : { time: formatTime(problem.at), detail: problem.detail },
    handshakes_refused: Object.fromEntries(refused),
  };
}
