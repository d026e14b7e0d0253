import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { Aedes } from "aedes";
import { writeToStream, type IConnectPacket } from "mqtt-packet";
import type { Deliverability } from "../interactions/action-deadlines.ts";
import { principalOf, validSecrets } from "../interactions/authentication.ts";
import { isCertificateGood } from "../interactions/certificate-login.ts";
import type { CredentialChange, InteractionDeps } from "../interactions/deps.ts";
import type { DeviceConnections } from "../interactions/device-connection.ts";
import type { Joining } from "../interactions/joining.ts";
import type { Publication } from "../interactions/publication.ts";
import { AddressRate } from "../address-rate.ts";
import type { Peer } from "../channel.ts";
import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { RefusalLog } from "../refusal-log.ts";
import { LoginTurns } from "../login-turns.ts";
import { Gate } from "./gate.ts";
import { mayStillReceive } from "./grants.ts";
import type { GateDeps } from "./gate-deps.ts";
import type { InboundDeps } from "./inbound.ts";
import { Listeners, type MqttEndpoint, type MqttPorts } from "./listeners.ts";
import { OnlineThings } from "./online-things.ts";
import { Outbound } from "./outbound.ts";
import { SessionPersistence } from "./persistence.ts";
import { Places, type ReleasePlace } from "./places.ts";
import { refusalOfPlace, refusalOfWebSocket } from "./refusal-reasons.ts";
import { Refusals } from "./refusals.ts";
import { RetainedMessages } from "./retained.ts";
import type { RequestReference } from "./message.ts";
import { readMqttRows, SUBLEVEL } from "./session-rows.ts";
import { Sessions } from "./sessions.ts";
import { openWebSockets, type WebSockets } from "./web-socket.ts";
import { Wills } from "./wills.ts";
import { WrittenLevel } from "./written-level.ts";

export type MqttOptions = {
  readonly refusedFilters: readonly string[];
  /** Failed log-ins by address, over all protocols. */
  readonly loginFailures: AddressRate;
  readonly refusals: RefusalLog;
  /** Is the box somebody's? Until it is, every CONNECT is refused. */
  readonly isClaimed: () => boolean;
  /** Is told of clients that nobody knows. */
  readonly joining?: Pick<Joining, "meet">;
  readonly deliverability: (request: RequestReference) => Deliverability;
  readonly onFatal: (error: unknown) => void;
};

type Parts = {
  readonly sessions: Sessions;
  readonly outbound: Outbound;
  readonly refusals: Refusals;
  readonly retained: RetainedMessages;
  readonly wills: Wills;
  readonly inbound: InboundDeps;
  readonly online: OnlineThings;
};

/**
 * The MQTT side: sessions and subscriptions from the start, connections once `listen` is called.
 * It is the one that makes aedes.
 */
export class MqttBroker {
  readonly #deps: InteractionDeps;
  readonly #options: MqttOptions;
  readonly #parts: Parts;
  /** Each connection that is served, and what gives its place to another. */
  readonly #gates = new Map<Gate, ReleasePlace>();
  readonly #byClientId = new Map<string, Gate>();
  readonly #dropped = new Map<string, number>();
  readonly #places: Places;
  readonly #listeners: Listeners;
  readonly #webSockets: WebSockets;
  readonly #gateDeps: GateDeps;
  #aedes: Aedes | undefined;
  #isStopping = false;

  constructor(deps: InteractionDeps, options: MqttOptions, parts: PartsMaker) {
    this.#deps = deps;
    this.#options = options;
    this.#parts = parts((cause) => {
      this.#dropped.set(cause, (this.#dropped.get(cause) ?? 0) + 1);
    });
    // 65,536 buffers, one for each packet id: of no use to an engine that sends CONNACK and PINGRESP.
    writeToStream.cacheNumbers = false;
    const { clock, limits } = deps;
    // Each by itself: the devices of a site share one network of IPv6, and all come back at once.
    const rate = new AddressRate(
      limits.connects_per_minute_per_address,
      clock,
      (address) => address,
    );
    this.#places = new Places(limits, rate);
    this.#webSockets = openWebSockets({ clock, messageBytesMax: limits.packet_bytes + 65_536 });
    this.#gateDeps = this.#makeGateDeps();
    this.#listeners = new Listeners({
      takePlace: (peer) => this.takePlace(peer),
      serve: (stream, peer, release) => this.serve(stream, peer, release),
      onFatal: options.onFatal,
    });
  }

  /** Counters for the gateway's description. */
  describe() {
    const { sessions, retained, refusals } = this.#parts;
    return {
      connections: this.#gates.size,
      sessions: sessions.counts,
      retained: retained.counts,
      refused: refusals.counts,
      dropped: Object.fromEntries(this.#dropped),
    };
  }

  /** Which Things have a device connected. */
  get deviceConnections(): DeviceConnections {
    return this.#parts.online;
  }

  publish(publication: Publication): void {
    this.#parts.outbound.publish(publication);
  }

  /** As `InteractionDeps.credentialChanged`. */
  credentialChanged(ulid: string, change: CredentialChange): void {
    const { sessions } = this.#parts;
    const credential = this.#deps.store.credentials.get(ulid);
    if (change === "revoked" || credential === undefined) {
      this.#closeOf(ulid, () => true, "its credential was revoked");
      for (const session of sessions.ofCredential(ulid)) sessions.discard(session);
      return;
    }
    if (change === "grants") {
      // New messages are asked about anew; what is queued was granted before.
      const { store } = this.#deps;
      const may = (topic: string): boolean =>
        mayStillReceive(store, principalOf(credential), topic);
      for (const session of sessions.ofCredential(ulid)) session.queue.keepOnly(may);
      this.#parts.online.granted(credential);
      return;
    }
    if (change === "certificates") {
      const isBad = ({ authenticated }: Gate): boolean => {
        const serial = authenticated?.certificate;
        return serial !== undefined && !isCertificateGood(this.#deps, serial);
      };
      this.#closeOf(ulid, isBad, "its certificate is not good any more");
      return;
    }
    const valid = validSecrets(this.#deps, credential);
    this.#closeOf(
      ulid,
      (gate) => {
        const as = gate.authenticated;
        if (as === undefined) return true;
        if (as.secret !== undefined && !valid.includes(as.secret)) return true;
        if (as.credential.username !== credential.username) return true;
        return credential.clientId !== undefined && credential.clientId !== gate.clientId;
      },
      "its password was changed",
    );
  }

  /** The clock is known: requests that waited for it may be delivered. */
  deliverWaiting(): void {
    for (const session of this.#parts.sessions.all()) session.queue.pump();
  }

  /** Makes aedes, and begins with what happens by itself. Connections can be accepted then. */
  async start(): Promise<void> {
    const { store } = this.#deps;
    this.#parts.outbound.start(this.#deps);
    this.#aedes = await Aedes.createBroker({
      // New at each start and sortable.
      id: `b${String(store.boot).padStart(12, "0")}`,
      persistence: new SessionPersistence(
        new WrittenLevel(store.database, store.commit, SUBLEVEL),
        this.#parts.sessions,
      ),
      connectTimeout: FIXED_LIMITS.connectTimeoutMs,
      maxClientsIdLength: 65_535,
      preConnect: (client, packet, done) => {
        prepareConnect(client.conn, packet);
        done(null, true);
      },
      // The gate has admitted it.
      authenticate: (_client, _username, _password, done) => done(null, true),
      authorizeSubscribe: (_client, _subscription, done) => done(null, null),
      authorizePublish: (_client, _packet, done) => done(new Error("the gate takes publishes")),
    });
    this.#aedes.on("connackSent", (_packet, client) => {
      if (client.conn instanceof Gate) this.#welcome(client.conn);
    });
    this.#aedes.on("clientError", (client, error) => {
      this.#deps.log.debug("mqtt.client_error", { clientId: client.id, error: error.message });
    });
    store.writability.onChange(() => {
      // Asked anew for each: what the first ones held may be as much as the store takes.
      for (const gate of [...this.#gates.keys()]) {
        gate.onWritability(store.writability.refusal === undefined);
      }
    });
    this.#parts.wills.start();
    this.#parts.online.start();
    this.#parts.sessions.startExpiry();
  }

  /** @returns the ports, once clients are served on all of them. */
  async listen(endpoints: readonly MqttEndpoint[]): Promise<MqttPorts> {
    return this.#listeners.open(endpoints);
  }

  /** Closes every connection, publishes no will, keeps every persistent session. Idempotent. */
  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#parts.sessions.stopExpiry();
    this.#parts.wills.stop();
    this.#parts.online.stop();
    this.#listeners.close();
    for (const gate of [...this.#gates.keys()])
      gate.close("the gateway stops", { withoutWill: true });
    const aedes = this.#aedes;
    if (aedes === undefined) return;
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
  }

  /** Serves a connection, unless there are too many: any stream of MQTT's bytes. */
  accept(stream: Duplex, peer: Peer): void {
    const release = this.takePlace(peer);
    if (release === undefined) stream.destroy();
    else this.serve(stream, peer, release);
  }

  /** `undefined`: there are too many connections. Before CONNECT nothing can be said [MQTT-3.1.0-1]. */
  takePlace(peer: Peer): ReleasePlace | undefined {
    if (this.#isStopping) return undefined;
    const release = this.#places.take(peer.address);
    if (release !== undefined) return release;
    this.#deps.log.debug("mqtt.connection_refused", { address: peer.address });
    this.#options.refusals.note(refusalOfPlace(peer, this.#places));
    return undefined;
  }

  /** Answers the handshake of a WebSocket, and serves what it carries, unless there are too many. */
  acceptWebSocket(request: IncomingMessage, socket: Duplex, head: Buffer, peer: Peer): void {
    const release = this.takePlace(peer);
    if (release === undefined) {
      socket.destroy();
      return;
    }
    socket.once("close", release);
    this.#webSockets.accept(request, socket, head, {
      serve: (stream) => this.serve(stream, peer, () => undefined),
      onFault: (fault) => this.#options.refusals.note(refusalOfWebSocket(peer, fault)),
    });
  }

  /** Serves a connection that has its place; `release` gives it to another when it ends. */
  serve(stream: Duplex, peer: Peer, release: ReleasePlace): void {
    if (this.#isStopping) {
      stream.destroy();
      release();
      return;
    }
    this.#gates.set(new Gate(stream, peer, this.#gateDeps), release);
  }

  #makeGateDeps(): GateDeps {
    const { sessions, wills, inbound } = this.#parts;
    return {
      interactions: this.#deps,
      inbound,
      sessions,
      wills,
      log: this.#deps.log,
      refusedFilters: new Set(this.#options.refusedFilters),
      makeClientId: () => `auto-${this.#deps.store.ids.next()}`,
      handle: (gate) => this.#aedes?.handle(gate),
      logins: new LoginTurns(
        this.#options.loginFailures,
        this.#deps.limits.connections_per_address,
      ),
      onRefused: (refusal) => this.#options.refusals.note(refusal),
      isClaimed: this.#options.isClaimed,
      onStranger: (stranger) => this.#options.joining?.meet(stranger),
      onOpen: (gate) => {
        this.#byClientId.get(gate.clientId)?.close("its client id connected again");
        this.#byClientId.set(gate.clientId, gate);
      },
      onClosed: (gate) => this.#forget(gate),
      onFatal: this.#options.onFatal,
    };
  }

  #welcome(gate: Gate): void {
    gate.onConnack();
    const { authenticated } = gate;
    if (authenticated === undefined || !this.#gates.has(gate)) return;
    this.#parts.online.opened(gate, authenticated.credential);
  }

  #forget(gate: Gate): void {
    const release = this.#gates.get(gate);
    if (release === undefined) return;
    this.#gates.delete(gate);
    release();
    this.#parts.online.closed(gate);
    if (this.#byClientId.get(gate.clientId) === gate) this.#byClientId.delete(gate.clientId);
  }

  #closeOf(ulid: string, which: (gate: Gate) => boolean, reason: string): void {
    for (const gate of [...this.#gates.keys()]) {
      if (gate.authenticated?.credential.ulid !== ulid || !which(gate)) continue;
      gate.close(reason, { withoutWill: true });
    }
  }
}

/** Makes the parts, given what to call when a message is dropped. */
type PartsMaker = (onDropped: (cause: string) => void) => Parts;

/** Reads what the MQTT side has on disk and makes it. Nothing is served yet. */
export async function openMqtt(deps: InteractionDeps, options: MqttOptions): Promise<MqttBroker> {
  const { store, limits, clock } = deps;
  const rows = await readMqttRows(store.database, store.commit);
  return new MqttBroker(deps, options, (onDropped) => {
    const { deliverability } = options;
    const { commit } = store;
    const sessions = new Sessions(
      { store, commit, clock, limits, deliverability, onDropped },
      rows,
    );
    const retained = new RetainedMessages({ commit, limits }, rows.retained);
    const online = new OnlineThings(deps);
    const outbound = new Outbound({ interactions: deps, sessions, retained, online });
    const refusals = new Refusals(deps, options.refusals);
    const inbound: InboundDeps = { interactions: deps, outbound, retained, refusals };
    const wills = new Wills(inbound, clock, rows.wills);
    return { sessions, outbound, refusals, retained, wills, inbound, online };
  });
}

/** aedes gets the CONNECT without what the gate does itself: the will, the client id, keep alive. */
function prepareConnect(connection: unknown, packet: IConnectPacket): void {
  if (!(connection instanceof Gate)) {
    throw new GatewayError("internal", "aedes was given a connection that is not a gate");
  }
  delete packet.will;
  packet.clientId = connection.clientId;
  packet.keepalive = 0;
}
