import type { X509Certificate } from "node:crypto";
import type { AddressRate } from "../address-rate.ts";
import { strict as assert } from "node:assert";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Channel, Peer } from "../channel.ts";
import type { StillEntitled, ThingRequest } from "../interactions/authorise.ts";
import type { Claim } from "../interactions/claim.ts";
import type { DeviceConnections } from "../interactions/device-connection.ts";
import type { RefusalLog } from "../refusal-log.ts";
import type { Joining } from "../interactions/joining.ts";
import type { UplinkDeps } from "../interactions/uplinks.ts";
import type { AuditRecord } from "../store/audit.ts";
import type { Authority } from "../tls/authority.ts";
import type { Principal, Scope } from "../thing/access.ts";
import type { Json, JsonObject } from "../thing/json.ts";
import type { Preconditions } from "./preconditions.ts";
import type { Query } from "./query.ts";

/** What the HTTP edge is given by the composition root. */
export type HttpDeps = UplinkDeps & {
  readonly name: string;
  readonly version: string;
  /** Id, uptime and the state of store, broker and uplinks, for GET /gateway. */
  readonly describeGateway: () => JsonObject;
  readonly isReady: () => boolean;
  readonly deviceConnections: Pick<DeviceConnections, "of">;
  /** Who waits to be let in. */
  readonly joining: Joining;
  /** The names browsers may come by, in lower case; addresses and localhost need no name. */
  readonly hostNames: ReadonlySet<string>;
  /** Whose the box is. */
  readonly claim: Claim;
  /** Where a claim code is typed, and how to know the box there. */
  readonly claimPlaces: () => ClaimPlaces;
  /** Failed log-ins by address, over all protocols. */
  readonly loginFailures: AddressRate;
  readonly refusals: RefusalLog;
  /** Where MQTT listens, for the forms of a Thing Description; absent: they lead to HTTP only. */
  readonly mqttPort?: number;
  /** Where the listeners with TLS are, if they run. */
  readonly mqttsPort?: number;
  readonly httpsPort?: number | undefined;
  /** Of the CA that devices have to believe for them; absent: one that every system believes. */
  readonly caPem?: string;
  /** The gateway's own CA, if its listeners with TLS show a certificate of it. */
  readonly authority?: Pick<Authority, "pem" | "der" | "fingerprint" | "sha256">;
  /** Takes a WebSocket at /mqtt, its handshake included; absent: there are none. */
  readonly serveWebSocket?: (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    peer: Peer,
  ) => void;
};

/** `urls`: of the claim page, the best one first. `caSha256`: of the box's own CA, if it has one. */
export type ClaimPlaces = {
  readonly urls: readonly string[];
  readonly caSha256: string | undefined;
};

/** One request as a resource sees it: nothing of Koa, and the body only when it is asked for. */
export type Call = {
  readonly deps: HttpDeps;
  readonly method: string;
  /** As it was sent, percent-encoded, without the query. */
  readonly path: string;
  /** Percent-decoded segments of the path, by the name the route gives them. */
  readonly params: ReadonlyMap<string, string>;
  readonly query: Query;
  readonly preconditions: Preconditions;
  /** IP address of the peer; `local` over the Unix socket. */
  readonly address: string;
  readonly channel: Channel;
  /** As `Peer` has it: nothing of it is checked but that the client has its key. */
  readonly certificate?: X509Certificate | undefined;
  /** Of the local end of the connection, as the client addressed it: for absolute URIs. */
  readonly host: string;
  readonly header: (name: string) => string | undefined;
  /** The first of these media types that the client likes best. */
  readonly preferred: (mediaTypes: readonly string[]) => string | undefined;
  /** @throws GatewayError `too-large`, `unsupported-media-type`, `malformed`. */
  readonly readBody: () => Promise<Uint8Array>;
};

export type AuthorisedCall = Call & {
  readonly principal: Principal;
  readonly stillEntitled: StillEntitled;
};

/** What a resource answers. It leaves when everything it shows is on disk. */
export type Answer = {
  readonly status: number;
  /** Sent as JSON. Absent: no body. */
  readonly body?: Json;
  /** Sent as it is, in place of `body`; with a `mediaType` of its own. */
  readonly text?: string | Uint8Array;
  /** `application/json` if absent. */
  readonly mediaType?: string;
  /** Of the representation, without quotes. */
  readonly etag?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What the audit log says of it, where the request does not say it. */
  readonly audit?: Partial<Pick<AuditRecord, "principal" | "target" | "detail" | "result">>;
};

type RouteShape = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Segments; `:name` is any one of them. */
  readonly path: string;
  /** The query parameters it takes; one that ends in `*` stands for all that begin so. */
  readonly query?: readonly string[];
  /** Nothing the store holds: it need not wait for the disk, and says that the process lives. */
  readonly isStatic?: true;
  /**
   * What the audit log calls it: a change of what there is or of who may. Its answer puts its change
   * into the open batch and waits for nothing behind that, so that the record is in the same batch.
   */
  readonly audit?: AuditRecord["action"];
  /** Served while the box is unclaimed, too. */
  readonly whileUnclaimed?: true;
};

/** `scopes`: a token needs one of these at the least; what exactly, the interaction decides. */
export type Route =
  | (RouteShape & {
      readonly scopes: "none";
      readonly answer: (call: Call) => Answer | Promise<Answer>;
    })
  | (RouteShape & {
      readonly scopes: readonly [Scope, ...Scope[]];
      readonly answer: (call: AuthorisedCall) => Answer | Promise<Answer>;
    });

export function param(call: Pick<Call, "params">, name: string): string {
  const value = call.params.get(name);
  if (value === undefined) assert.fail(`the route names :${name}`);
  return value;
}

/** The account of the path and who asks. */
export function onAccount(call: AuthorisedCall): {
  readonly principal: Principal;
  readonly account: string;
} {
  return { principal: call.principal, account: param(call, "account") };
}

/** The Thing of the path and who asks. */
export function onThing(call: AuthorisedCall): ThingRequest {
  const { principal } = call;
  return { principal, account: param(call, "account"), thing: param(call, "thing") };
}
