/**
 * Bounds of uplinks and their outboxes that nobody needs to change; a part of `FIXED_LIMITS`. The
 * comment of each is its reason: `docs/limits.md` has a row for each (tested).
 */
export const UPLINK_LIMITS = {
  /** Uplinks of the box: each looks at every change, and has a line, an outbox and a session. */
  uplinksMax: 16,
  /** UTF-16 units of the URL of an uplink: as long as browsers take. */
  uplinkUrlLengthMax: 2_048,
  /** Bytes of what stands before each topic upstream: all of it fits a topic name many times. */
  uplinkPrefixBytesMax: 256,
  /** UTF-16 units of a certificate chain or a key in PEM: a chain takes some 10,000. */
  uplinkPemLengthMax: 262_144,
  /** UTF-16 units of the id of a message from upstream: it is remembered, in memory and on disk. */
  uplinkIdLengthMax: 256,
  /** UTF-16 units of a value kept to be compared with its echo: a longer one is kept as its digest. */
  comparedLengthMax: 64,
  /** Commands of upstream that an uplink knows to be applied: one that comes again is not. */
  uplinkCommandsMax: 10_000,
  /** Local action requests that stand for one of upstream, per uplink. */
  uplinkRequestsMax: 10_000,
  /** Notes that an uplink keeps of values that went up and have not come back. */
  uplinkNotesMax: 10_000,
  /** Items of an outbox that get their numbers together: one row, and some ms of work. */
  outboxPageItemsMax: 1_000,
  /** Bytes of them: a page is held in memory. */
  outboxPageBytesMax: 262_144,
  /** Pages of one stream that are not acknowledged: 4 MiB, or 16,000 items under way. */
  outboxPagesMax: 16,
  /** Rows of the log looked at for one page: where little of it is owed, a page may stay empty. */
  outboxScannedRowsMax: 10_000,
  /** Changes of one batch that get their numbers in it: more would hold up whoever waits for it. */
  outboxFreshMax: 32,
  /** Parts of the log that an uplink reads apart: each outage leaves one until it is sent. */
  outboxPartsMax: 16,
  /** Ranges of the log that an outbox passes over, per class: a full one has a few. */
  outboxDropRangesMax: 64,
  /** Entries of the loss ledger of an uplink: each takes about 100 bytes. */
  outboxLedgerMax: 200,
  /** Values of one uplink whose echo is awaited: about 4 MB. */
  uplinkEchoesMax: 20_000,
  /** The same of one property. */
  uplinkEchoesPerPropertyMax: 128,
  /** Values that lost against a local change and may win yet, of one uplink; on disk. */
  uplinkLostMax: 1_000,
  /** An echo that has not come this long after the acknowledgement will not come. */
  uplinkEchoMsMax: 10_000,
  /** Messages from upstream that are known again if they are sent again: more than brokers have in flight. */
  uplinkRedeliveriesMax: 1_024,
  /** Upstream silent for so long after the line came back: what waited there has come. */
  uplinkBacklogQuietMs: 2_000,
  /** The same, however busy it is. */
  uplinkBacklogMsMax: 60_000,
  /** The backlog and the place in it are told upstream so often, if they have changed. */
  uplinkPresenceMs: 60_000,
  /** That nothing waits any more is seen this soon. */
  uplinkPresenceLookMs: 2_000,
  /** When upstream was last heard is noted on disk so often: bounds how much older a command may look. */
  uplinkAliveNoteMs: 60_000,
  /** The shortest wait before another try, ms: a broker that refuses us is not pestered. */
  uplinkRetryMsMin: 100,
  /** The longest: nobody waits more than two minutes for a line that is back. */
  uplinkRetryMsMax: 120_000,
  /** Bytes of publishes under way on a line: bounds what a slow one holds in memory. */
  uplinkFlightBytesMax: 1_048_576,
  /** Messages about the gateway itself that wait for room on the line. */
  uplinkAsidesMax: 100,
  /** Things of which it is told at once whether a device is connected: what is owed goes on beside it. */
  uplinkConnectionsToldMax: 50,
  /** Filters of one SUBSCRIBE: the fewest that a known broker takes. */
  uplinkFiltersPerPacketMax: 8,
  /** Accounts that come and go change what is subscribed to: looked at this often. */
  uplinkLookMs: 2_000,
  /** A connect up to the answer of the broker: through TLS and a proxy, over a satellite. */
  uplinkConnectMsMax: 30_000,
  /** The broker may owe an acknowledgement this long; longer each time a line ended so for nothing. */
  uplinkStallMs: 30_000,
  /** The same, at the most: the largest packet over the slowest line. */
  uplinkStallMsMax: 600_000,
  /** The keep alive asked for, in seconds: most NATs forget a silent connection later than this. */
  uplinkKeepaliveS: 60,
  /** The last words to the broker: two round trips of a slow line. */
  uplinkLeaveMsMax: 1_000,
  /** Largest packet taken from upstream: a Thing Description with everything around it. */
  uplinkPacketBytesMax: 1_048_576,
  /** Publishes taken at once from a broker that asks (MQTT 5): each waits for its commit. */
  uplinkReceiveMax: 100,
  /** Messages from upstream that wait for their commit: a broker of MQTT 3.1.1 sends what it likes. */
  uplinkInboundMessagesMax: 1_000,
  /** Bytes of them. */
  uplinkInboundBytesMax: 4_194_304,
  /** Bytes of an HTTP proxy's answer to CONNECT: some fields and a short page. */
  uplinkProxyHeadBytesMax: 16_384,
} as const;
