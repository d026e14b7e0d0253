import type { RefusalCause } from "./refusal-causes.ts";

/** What a code means to each edge. `mqtt` says what happens to the publish that caused it. */
type ErrorRow = {
  /** HTTP status, RFC 9110. */
  readonly status: number;
  /** RFC 9457 `title`: the same for every occurrence. */
  readonly title: string;
  /** What the user can do about it. */
  readonly remedy: string;
  /**
   * `refused`: acknowledged, dropped, counted, told on the Thing's `errors` topic [MQTT-3.3.5-2].
   * `withheld`: not acknowledged until it can be stored. `none`: cannot be caused by a publish.
   */
  readonly mqtt: "refused" | "withheld" | "none";
};

/** The closed table of everything that can go wrong. `docs/errors.md` has a row for each (tested). */
export const ERRORS = {
  unauthorized: {
    status: 401,
    title: "No valid credential was given",
    remedy: "Send a valid bearer token, or HTTP Basic with a client or an MQTT credential.",
    mqtt: "none",
  },
  forbidden: {
    status: 403,
    title: "The credential does not cover this",
    remedy: "Use a token with the scope, or a credential with a grant on this Thing.",
    mqtt: "refused",
  },
  unclaimed: {
    status: 403,
    title: "The gateway has not been claimed",
    remedy: "Claim the gateway first: sluice claim --show, at the box, says how.",
    mqtt: "none",
  },
  claimed: {
    status: 409,
    title: "The gateway has been claimed",
    remedy: "Log in. If nobody has the password: sluice user password NAME, at the box.",
    mqtt: "none",
  },
  "wrong-claim-code": {
    status: 403,
    title: "The claim code is not the one of this gateway",
    remedy: "Read it at the box: sluice claim --show. Each start makes a new one.",
    mqtt: "none",
  },
  "weak-password": {
    status: 400,
    title: "The password is too easy to guess",
    remedy: "Choose a longer one that is no common password and no name: four random words do.",
    mqtt: "none",
  },
  "insecure-channel": {
    status: 403,
    title: "This is not sent without TLS",
    remedy: "Use HTTPS, or do it on the machine itself.",
    mqtt: "none",
  },
  "joining-closed": {
    status: 403,
    title: "The gateway takes no new devices now",
    remedy: 'An admin opens the window: PUT /gateway/joining {"seconds": 600}. Then ask again.',
    mqtt: "none",
  },
  "read-only": {
    status: 403,
    title: "The property is read-only",
    remedy: "Only a device, or a token with the scope thing.report, may set this property.",
    mqtt: "refused",
  },
  "not-json": {
    status: 400,
    title: "The payload is not JSON",
    remedy: "Send one JSON text in UTF-8.",
    mqtt: "refused",
  },
  malformed: {
    status: 400,
    title: "The payload or the request has another shape than expected",
    remedy: "Compare the payload with docs/http-api.md or docs/mqtt-api.md.",
    mqtt: "refused",
  },
  "unknown-member": {
    status: 400,
    title: "The payload has a member that is not known",
    remedy: "Remove the members named in errors.",
    mqtt: "refused",
  },
  "invalid-parameter": {
    status: 400,
    title: "A query parameter is not valid",
    remedy: "Compare the query with docs/http-api.md.",
    mqtt: "none",
  },
  "schema-violation": {
    status: 400,
    title: "The value does not match its DataSchema",
    remedy: "Read the Thing Description: errors points at the parts that do not match.",
    mqtt: "refused",
  },
  "description-invalid": {
    status: 400,
    title: "The Thing Description breaks a rule of WoT TD 1.1 or a limit",
    remedy: "Correct the members named in errors.",
    mqtt: "refused",
  },
  "too-many-levels": {
    status: 400,
    title: "The topic has too many levels",
    remedy: "Publish to a topic within limits.topic_levels.",
    mqtt: "refused",
  },
  "unknown-topic": {
    status: 404,
    title: "The topic is not one the gateway knows",
    remedy: "Compare the topic with docs/mqtt-api.md.",
    mqtt: "refused",
  },
  "unknown-account": {
    status: 404,
    title: "There is no such account",
    remedy: "List the accounts with GET /gateway/accounts.",
    mqtt: "refused",
  },
  "unknown-thing": {
    status: 404,
    title: "There is no such Thing",
    remedy: "List the Things with GET /{account}/things, or create it first.",
    mqtt: "refused",
  },
  "unknown-affordance": {
    status: 404,
    title: "The Thing has no such property, action or event",
    remedy: "Add it to the Thing Description first.",
    mqtt: "refused",
  },
  "unknown-action-request": {
    status: 404,
    title: "There is no such action request",
    remedy:
      "The last segment of href is the request's id; finished requests are kept for a time only.",
    mqtt: "refused",
  },
  "not-found": {
    status: 404,
    title: "There is nothing at this path",
    remedy: "Compare the path with docs/http-api.md; a trailing slash is another path.",
    mqtt: "none",
  },
  "method-not-allowed": {
    status: 405,
    title: "The path does not take this method",
    remedy: "Use one of the methods in the Allow header.",
    mqtt: "none",
  },
  conflict: {
    status: 409,
    title: "It conflicts with what is there",
    remedy: "Choose another name, or read what is there and change that.",
    mqtt: "refused",
  },
  "history-conflict": {
    status: 409,
    title: "The property already has a value at this time",
    remedy: "A repeated back-fill is safe to skip: the value is there.",
    mqtt: "none",
  },
  "account-not-empty": {
    status: 409,
    title: "The account still holds Things, credentials, clients or tokens",
    remedy: "Empty it first, or repeat the request with ?force=true.",
    mqtt: "none",
  },
  "action-finished": {
    status: 409,
    title: "The action request has finished",
    remedy: "Request the action again.",
    mqtt: "refused",
  },
  "action-running": {
    status: 409,
    title: "The action is running and cannot be cancelled",
    remedy: "Wait for the device to finish it.",
    mqtt: "none",
  },
  "limit-reached": {
    status: 409,
    title: "A limit on how many there may be is reached",
    remedy: "Delete some, or raise the limit named in detail (docs/configuration.md).",
    mqtt: "refused",
  },
  expired: {
    status: 410,
    title: "It came too late",
    remedy:
      "Send it again; timeout, or the message expiry of MQTT 5, says how long it is good for.",
    mqtt: "refused",
  },
  "precondition-failed": {
    status: 412,
    title: "The resource has changed",
    remedy: "Read it again and repeat the change with the new ETag.",
    mqtt: "none",
  },
  "too-large": {
    status: 413,
    title: "The payload is too large",
    remedy: "Send less, or raise limits.packet_bytes or limits.http_body_bytes.",
    mqtt: "refused",
  },
  "unsupported-media-type": {
    status: 415,
    title: "The media type is not supported here",
    remedy: "Use one of the media types named in detail.",
    mqtt: "none",
  },
  misdirected: {
    status: 421,
    title: "The host is no name of the gateway",
    remedy: "Come by its address, by localhost or by its host name.",
    mqtt: "none",
  },
  "rate-limited": {
    status: 429,
    title: "Too many requests",
    remedy: "Wait for the seconds in Retry-After.",
    mqtt: "refused",
  },
  internal: {
    status: 500,
    title: "The gateway failed",
    remedy: "Report it with the requestId; the log has the cause.",
    mqtt: "none",
  },
  "queue-full": {
    status: 503,
    title: "A queue is full",
    remedy:
      "The device has been away too long: bring it back, or raise limits.session_queue_messages.",
    mqtt: "refused",
  },
  "storage-full": {
    status: 503,
    title: "The store cannot take more",
    remedy:
      "Free space on the disk, or lower the history bounds; mount it writable. Reads keep working.",
    mqtt: "withheld",
  },
  "storage-failed": {
    status: 503,
    title: "The store failed to write",
    remedy: "Check the disk: the gateway restarts and recovers what it acknowledged.",
    mqtt: "withheld",
  },
  stopping: {
    status: 503,
    title: "The gateway is stopping",
    remedy: "Try again in a few seconds.",
    mqtt: "withheld",
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** One of several faults in one request: RFC 9457 §3 `errors`, RFC 6901 pointer. */
export type Fault = { readonly pointer: string; readonly detail: string };

/** Why somebody was not let in, and who it said it was. */
export type RefusalReason = { readonly cause: RefusalCause; readonly user?: string | undefined };

/**
 * An operating error: the request cannot be done and the caller can know why. Its `message` says
 * what was tried and on what, and never holds a secret or a payload. Edges translate it by
 * `ERRORS[code]`; nothing else does.
 */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly code: ErrorCode;
  readonly faults: readonly Fault[];
  /** Seconds after which a repeat may succeed: HTTP `Retry-After`. */
  readonly retryAfterS: number | undefined;
  /** What the log of refusals says of it: more than the client is told. */
  readonly refusal: RefusalReason | undefined;

  constructor(
    code: ErrorCode,
    detail: string,
    extra: {
      faults?: readonly Fault[];
      cause?: unknown;
      retryAfterS?: number;
      refusal?: RefusalReason;
    } = {},
  ) {
    super(detail, extra.cause === undefined ? undefined : { cause: extra.cause });
    this.code = code;
    this.faults = extra.faults ?? [];
    this.retryAfterS = extra.retryAfterS;
    this.refusal = extra.refusal;
  }
}
