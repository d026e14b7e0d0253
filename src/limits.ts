import { ACCESS_LIMITS } from "./access-limits.ts";
import { JOIN_LIMITS } from "./join-limits.ts";
import { TLS_LIMITS } from "./tls-limits.ts";
import { UPLINK_LIMITS } from "./uplink-limits.ts";

/** A bound, its unit in the key, its default and the reason for it. */
type LimitRow = {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly why: string;
};

/**
 * Bounds a site may change: `limits.<key>` of the configuration. `docs/configuration.md` has a row
 * for each (tested).
 */
export const LIMITS = {
  packet_bytes: {
    default: 262_144,
    min: 256,
    max: 268_435_455,
    why: "largest MQTT packet taken from a client; [MQTT-2.2.3] allows 256 MiB",
  },
  http_body_bytes: {
    default: 1_048_576,
    min: 1024,
    max: 67_108_864,
    why: "largest HTTP body; a Thing Description with hundreds of affordances fits",
  },
  connections: {
    default: 2_000,
    min: 1,
    max: 100_000,
    why: "MQTT connections in all; about 60 kB of memory each",
  },
  connections_per_address: {
    default: 500,
    min: 1,
    max: 100_000,
    why: "connections from one address, over MQTT and HTTP each; many devices may share a NAT",
  },
  connects_per_minute_per_address: {
    default: 600,
    min: 0,
    max: 1_000_000,
    why: "CONNECTs a minute from one address, 0 is off; paces a reconnect storm",
  },
  login_failures_per_minute_per_address: {
    default: 30,
    min: 0,
    max: 1_000_000,
    why: "failed log-ins a minute from one address, or network of IPv6, 0 is off; slows guessing",
  },
  login_failures_per_name: {
    default: 10,
    min: 0,
    max: 1_000_000,
    why: "failed log-ins of one name before each costs twice the wait of the last, 0 is off",
  },
  topic_levels: {
    default: 32,
    min: 8,
    max: 100,
    why: "levels of a topic name or filter; the matching engine ends at 100",
  },
  inflight: {
    default: 100,
    min: 1,
    max: 65_535,
    why: "publishes of one client that wait for their acknowledgement; more are not read",
  },
  session_queue_messages: {
    default: 10_000,
    min: 1,
    max: 1_000_000,
    why: "messages one session is owed; a burst of 50 devices with 100 each fits twice",
  },
  session_queue_bytes: {
    default: 4_194_304,
    min: 1024,
    max: 1_073_741_824,
    why: "bytes one session is owed",
  },
  queued_messages: {
    default: 200_000,
    min: 1,
    max: 100_000_000,
    why: "messages all sessions together are owed; about 500 bytes of memory each",
  },
  session_expiry_s: {
    default: 2_592_000,
    min: 60,
    max: 315_360_000,
    why: "how long a persistent session outlives its connection; 30 days",
  },
  sessions: { default: 10_000, min: 1, max: 1_000_000, why: "persistent sessions kept" },
  subscriptions_per_session: {
    default: 200,
    min: 1,
    max: 100_000,
    why: "topic filters of one client",
  },
  retained_messages: {
    default: 100_000,
    min: 0,
    max: 10_000_000,
    why: "retained messages on free topics; Thing status is not counted",
  },
  retained_bytes: {
    default: 67_108_864,
    min: 0,
    max: 4_294_967_296,
    why: "bytes of retained messages on free topics, held in memory",
  },
  accounts: { default: 100, min: 1, max: 10_000, why: "accounts of one box" },
  things: { default: 10_000, min: 1, max: 1_000_000, why: "Things in all; each is held in memory" },
  affordances_per_thing: {
    default: 500,
    min: 1,
    max: 10_000,
    why: "properties, actions and events of one Thing",
  },
  description_bytes: {
    default: 262_144,
    min: 1024,
    max: 4_194_304,
    why: "one Thing Description as JSON",
  },
  value_bytes: {
    default: 65_536,
    min: 64,
    max: 4_194_304,
    why: "one property value, action input or output, event or data object as JSON",
  },
  pending_actions_per_thing: {
    default: 100,
    min: 1,
    max: 100_000,
    why: "action requests of one Thing that have not finished",
  },
  credentials: { default: 20_000, min: 1, max: 1_000_000, why: "MQTT credentials in all" },
  certificates: {
    default: 20_000,
    min: 1,
    max: 1_000_000,
    why: "client certificates in all, revoked ones included; as many as credentials",
  },
  tokens: { default: 10_000, min: 10, max: 1_000_000, why: "bearer tokens and clients in all" },
} as const satisfies Record<string, LimitRow>;

export type LimitName = keyof typeof LIMITS;
export type Limits = Readonly<Record<LimitName, number>>;

/**
 * Bounds nobody needs to change. The comment of each is its reason: `docs/limits.md` has a row for
 * each (tested).
 */
export const FIXED_LIMITS = {
  // Texts, schemas and descriptions.

  /** Depth of nesting of any JSON taken in: far above real Thing Descriptions, far below the stack. */
  jsonDepthMax: 32,
  /** Code points of the name of a property, action or event: it is in topics, paths and keys. */
  affordanceNameLengthMax: 128,
  /** UTF-16 units of the description of a credential, a token or a client: held in memory. */
  remarkLengthMax: 1024,
  /** Nodes of one DataSchema: bounds what compiling it and checking a value cost. */
  schemaNodesMax: 500,
  /** UTF-16 units of a `pattern` in a DataSchema: bounds what parsing it costs. */
  schemaPatternLengthMax: 256,
  /** States of a `pattern`, repetitions unfolded: with these a text of 64 KiB takes tenths of a second. */
  patternStatesMax: 512,
  /** Compiled DataSchemas kept: a site has many devices of one kind, and they share one. */
  compiledSchemasMax: 500,
  /** Faults told of one value: who reads them corrects the first ones. */
  valueFaultsMax: 20,
  /** Faults told of one request or description: an answer stays small whatever was sent. */
  faultsMax: 100,

  ...ACCESS_LIMITS,
  ...JOIN_LIMITS,

  // MQTT connections.

  /** Connections the kernel holds until they are accepted: a reconnect storm fits. */
  backlogMax: 1024,
  /** From the TCP connection to CONNECT: whoever sends nothing holds a connection. */
  connectTimeoutMs: 10_000,
  /** Frames of one WebSocket message: each may keep 64 KiB alive until the last one comes. */
  webSocketFragmentsMax: 64,
  /** Reads that one frame of a WebSocket comes in: some 100 bytes of memory each, beside their own. */
  webSocketChunksMax: 4_096,
  /** Keep-alive times a client may be silent [MQTT-3.1.2-24]. */
  keepalivesMax: 1.5,
  /** Bytes of a client id: it is in the keys of its session. MQTT asks for 23 [MQTT-3.1.3-5]. */
  clientIdBytesMax: 256,
  /** A publish waits this long for a store that takes nothing; its client should know then. */
  withheldMsMax: 30_000,
  /** Packets of one client that are taken before the others get their turn: some milliseconds. */
  turnFramesMax: 256,
  /** Bytes that wait for a slow reader before QoS 0 to it is dropped: it is to stay up to date. */
  cloggedBytesMax: 1_048_576,
  /** Topic names of which it is remembered who is subscribed and what they mean: 10 MB at the most. */
  memoTopicsMax: 4_096,
  /** A longer topic name is looked at anew each time. */
  memoTopicCharactersMax: 256,
  /** Bytes that wait for a frozen reader before it is cut off: it costs itself only. */
  outBytesMax: 33_554_432,
  /** A peer that is closed has this long to read its last packets. */
  lingerMs: 1_000,
  /** Bytes of a packet that is copied into the chunk of its turn: a larger one costs less by itself. */
  copiedBytesMax: 16_384,
  /** Bytes of a topic name that is kept to be compared with the next: devices repeat short ones. */
  keptTopicBytesMax: 256,
  /** Refusals told on `errors` and in the log per publisher and minute: a faulty device repeats itself. */
  errorReportsPerMinute: 30,
  /** UTF-16 units of each text in such a report: devices have small buffers. */
  errorReportTextLengthMax: 256,
  /** Publishers whose refusals are counted for that: about 1 MB. */
  errorReportersMax: 10_000,
  /** A device that comes or goes is told of this soon, ms: most of those that go come back at once. */
  connectionLookMs: 1_000,
  /** Of one Thing it is told so often at most, ms: a device with a loose wire fills no queue. */
  connectionToldMs: 5_000,
  /** Things told of at once: a credential may be the device of all. */
  connectionsToldMax: 200,
  /** After an unclean end of the gateway clients have this long to come back before their wills go out. */
  willGraceMs: 60_000,

  // HTTP.

  /** Connections at once: as many as over MQTT, for a device may use both. */
  httpConnectionsMax: 2_000,
  /** Bytes of the header fields of a request: a token and a long query fit several times. */
  httpHeaderBytesMax: 16_384,
  /** Header fields of a request: browsers send about 20. */
  httpHeadersMax: 100,
  /** A client that takes longer for its header fields holds a connection and sends nothing. */
  httpHeadersTimeoutMs: 10_000,
  /** A whole request may take this long: the largest body at 150 kbit/s. */
  httpRequestTimeoutMs: 60_000,
  /** Silence between requests: devices that report once a minute keep their connection. */
  httpKeepAliveMs: 65_000,
  /** Bodies of the largest size that are thrown away so that the client reads why. */
  httpDiscardedBodiesMax: 8,
  /** Items of a page of a list: one answer does not hold up the others. */
  pageItemsMax: 1_000,
  /** Items of a page where the request names no `limit`: fits a screen. */
  pageItemsDefault: 50,
  /** Things of one list of raw data: each is a range of the disk, read beside the others. */
  dataSourcesMax: 100,
  /** Items of one back-fill: they are one batch. */
  backfillItemsMax: 1_000,
  /** Operations of a JSON Patch: an editor sends a few. */
  patchOperationsMax: 500,
  /** UTF-16 units of a description while it is patched: a few `copy` could double it into gigabytes. */
  patchedLengthMax: 8_388_608,
  /** Things in which a credential card looks for something to publish: a grant may be on thousands. */
  cardThingsMax: 20,
  /** UTF-16 units of a text that a credential card makes up where a DataSchema wants a long one. */
  sampleTextLengthMax: 256,
  /** Items of an array that a credential card makes up. */
  sampleItemsMax: 16,
  /** Gaps, and rows set aside, that GET /gateway shows. */
  lossesShownMax: 100,

  // Actions.

  /** Time to live of an action request, in seconds: a day, and not more. A command is not for ever. */
  actionTimeToLiveS: 86_400,

  // The store.

  /** Bytes kept free: LevelDB writes a log, a table and a manifest before it can free any. */
  reserveBytes: 50_331_648,
  /** On a small file system: this part of it. */
  reservePart: 0.1,
  /** Bytes of the file that is given up when the disk is full all the same: to open and empty the store. */
  ballastBytes: 8_388_608,
  /** On a small file system: this part of it. */
  ballastPart: 0.05,
  /** UTF-16 units of rows that wait for a write to end: as much again is in that write. */
  waitingSizeMax: 33_554_432,
  /** Failed writes that follow each other, not of a full disk, before it is called hopeless. */
  writeFailuresMax: 3,
  /** Past revisions of Thing Descriptions, and deletions: nobody reads them but an uplink that is behind. */
  thingRevisionsMax: 10_000,
  /** Rows a sweep looks at before others get their turn. */
  sweptRowsMax: 256,
  /** Values of one property that share a row of the index: what is read, and later swept, at once. */
  historyRunMomentsMax: 64,
  /** ms from the first of them to the last: as far a reader of the history looks beyond its bounds. */
  historyRunMsMax: 100,
  /** Files of the database open at once: leaves most of the usual 1,024 to connections. */
  databaseFilesMax: 128,
  /** Bytes of rows in memory before they become a table, and of log that a start may have to read. */
  databaseBufferBytes: 16_777_216,
  /** Bytes of tables checked before a start that follows a clean stop: a tenth of a second. */
  checkedBytesClean: 4_194_304,
  /** The same after another end, which may have harmed them: a second or two of a slow card. */
  checkedBytesUnclean: 67_108_864,
  /** Newest changes looked at for gaps before the gateway serves; older ones while it does. */
  checkedChangesMax: 10_000,
  /** Starts in a row that did not last: a damaged table may be what ends them. */
  uncleanStartsMax: 3,
  /** Places of a file that the disk cannot give, 4 KiB each, until the rest counts as such: each may take seconds. */
  unreadablePiecesMax: 256,
  /** Bytes of one block of a table that is believed: far above any of ours, of a few KiB. */
  blockBytesMax: 16_777_216,
  /** The same, unpacked. */
  unpackedBlockBytesMax: 67_108_864,
  /** Gaps kept on disk: each takes about 200 bytes. */
  gapsMax: 1_000,
  /** Damaged rows kept on disk for whoever wants to look at them. */
  damagedRowsMax: 1_000,

  ...UPLINK_LIMITS,

  ...TLS_LIMITS,

  // The process.

  /** A start that takes longer than the repair of a large store on a slow card hangs. */
  startMsMax: 1_800_000,
  /** HTTP requests that run have this long at a stop: longer than the longest answer takes. */
  httpStopMsMax: 3_000,
  /** A whole stop: within the 10 s that systemd and people are patient for. */
  stopMsMax: 9_500,
  /** A message to systemd: `systemd-notify` itself gives up after 5 s. */
  notifyMsMax: 8_000,
  /** Causes of an error that are looked through for the exit code: they may form a ring. */
  errorCausesMax: 10,
} as const;

/** Every limit at its default, with the given ones in its place. */
export function defaultLimits(given: Partial<Limits> = {}): Limits {
  return {
    packet_bytes: LIMITS.packet_bytes.default,
    http_body_bytes: LIMITS.http_body_bytes.default,
    connections: LIMITS.connections.default,
    connections_per_address: LIMITS.connections_per_address.default,
    connects_per_minute_per_address: LIMITS.connects_per_minute_per_address.default,
    login_failures_per_minute_per_address: LIMITS.login_failures_per_minute_per_address.default,
    login_failures_per_name: LIMITS.login_failures_per_name.default,
    topic_levels: LIMITS.topic_levels.default,
    inflight: LIMITS.inflight.default,
    session_queue_messages: LIMITS.session_queue_messages.default,
    session_queue_bytes: LIMITS.session_queue_bytes.default,
    queued_messages: LIMITS.queued_messages.default,
    session_expiry_s: LIMITS.session_expiry_s.default,
    sessions: LIMITS.sessions.default,
    subscriptions_per_session: LIMITS.subscriptions_per_session.default,
    retained_messages: LIMITS.retained_messages.default,
    retained_bytes: LIMITS.retained_bytes.default,
    accounts: LIMITS.accounts.default,
    things: LIMITS.things.default,
    affordances_per_thing: LIMITS.affordances_per_thing.default,
    description_bytes: LIMITS.description_bytes.default,
    value_bytes: LIMITS.value_bytes.default,
    pending_actions_per_thing: LIMITS.pending_actions_per_thing.default,
    credentials: LIMITS.credentials.default,
    certificates: LIMITS.certificates.default,
    tokens: LIMITS.tokens.default,
    ...given,
  };
}
