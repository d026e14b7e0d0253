/**
 * Bounds of who may do what, and of what is remembered of it, that nobody needs to change; a part of
 * `FIXED_LIMITS`. The comment of each is its reason: `docs/limits.md` has a row for each (tested).
 */
export const ACCESS_LIMITS = {
  /** Characters of the password of a person: one of the commonest is refused besides. */
  passwordLengthMin: 10,
  /** Bytes of a password that a person chose: beyond it hashing costs more and protects no better. */
  passwordBytesMax: 256,
  /** Passwords hashed at once: each takes 32 MiB and a core for about 100 ms. */
  passwordHashesMax: 2,
  /** How long an old password may still work, in seconds: 30 days, for devices that sleep. */
  passwordOverlapSMax: 2_592_000,
  /** Resources of a credential, and patterns of a resource: each publish looks through them. */
  credentialPartsMax: 100,
  /** Access tokens of one client that are good at once: one client must not use up those of all. */
  accessTokensPerClientMax: 50,
  /** Life of an access token from /oauth2/token, in seconds: a stolen one is of use for an hour. */
  accessTokenLifeS: 3_600,
  /** Bytes of a request for a certificate as DER: one of RSA with 4,096 bits has about 2,000. */
  certificateRequestBytesMax: 8_192,
  /** Bits of an RSA key that gets a certificate: fewer are broken by 2030 (NIST SP 800-57). */
  rsaKeyBitsMin: 2_048,
  /** The same at the most: checking a signature of a larger one takes long for whoever asks. */
  rsaKeyBitsMax: 4_096,
  /** Wrong claim codes a minute from one address, or network of IPv6: typing errors, not guesses. */
  claimAttemptsPerMinutePerAddress: 6,
  /** Wrong claim codes a minute from all addresses: of 59 bits nobody guesses one in a lifetime so. */
  claimAttemptsPerMinute: 60,
  /** How long until the next use of a token is noted on disk: who looks for forgotten ones asks for days. */
  tokenUseNotedMs: 60_000,
  /** Longest wait after failed log-ins of one name: who mistyped is not sent home. */
  loginWaitMsMax: 300_000,
  /** Without a try for so long the failed log-ins of a name are forgotten. */
  loginQuietMs: 900_000,
  /** UTF-16 units of a name whose failed log-ins are told from those of others: no name there is has more. */
  loginNameLengthMax: 64,
  /** Refused log-ins that are known again, in memory: a site's devices with old credentials, and some. */
  refusedLogInsKept: 4_096,
  /** People who may log in: each is held in memory, and a site has some dozens. */
  usersMax: 1_000,
  /** Sessions of one person that are open at once: a phone, a laptop, a panel; the one unused longest ends. */
  sessionsPerUserMax: 10,
  /** A session ends when it is not used for so long, ms: a browser that is left open at a panel. */
  sessionIdleMs: 3_600_000,
  /** A session ends after so long, used or not, ms: a shift. */
  sessionLifeMs: 43_200_000,
  /** UTF-16 units of what a browser says it is: by it a person recognises his session. */
  userAgentLengthMax: 200,
  /** Addresses whose rates are remembered, each rate for itself: about 1 MB. */
  addressesMax: 10_000,
  /** Refusals remembered of one client: it has a few ways to go wrong, each a row with a count. */
  refusalsPerClientMax: 20,
  /** Refusals remembered of one address, or network of IPv6: many devices may share a NAT. */
  refusalsPerNetworkMax: 200,
  /** Refusals remembered in all: about 1 MB. */
  refusalsMax: 2_000,
  /** UTF-16 units of each text in a remembered refusal: strangers choose what is in it. */
  refusalTextLengthMax: 256,
  /** Rows of the audit log that one sweep takes: they are one batch. */
  auditSweptRowsMax: 1_000,
  /** UTF-16 units of each text in the audit log: strangers choose what is in some. */
  auditTextLengthMax: 512,
  /** Kinds of what was refused that the audit log tells apart when they come at once: disks wear out. */
  auditRepeatsMax: 100,
  /** The same a minute in the long run, of strangers: so the log lasts for weeks whatever they do. */
  auditStrangersPerMinute: 1,
  /** The same of whoever has a name here: a device that was taken over, say. */
  auditRefusedPerMinute: 10,
  /** Networks from which a log-in of one person by Basic is recorded within an hour. */
  auditLogInsPerHour: 8,
  /** Parts of the audit log of which one principal may fill one at once and again within a day. */
  auditShareParts: 10,
  /** Rows that such a part has at the least, however small the log is. */
  auditShareRowsMin: 1_000,
  /** Principals whose parts are reckoned: about 100 kB. */
  auditSharesMax: 1_000,
} as const;
