/** Bounds of TLS and of the certificates, in `FIXED_LIMITS`; `docs/limits.md` has a row for each (tested). */
export const TLS_LIMITS = {
  /** From the TCP connection to the end of the handshake: whoever sends nothing holds a connection. */
  tlsHandshakeMsMax: 10_000,
  /** Names, addresses, age and files of the certificate are looked at so often. */
  certificateCheckMs: 10_000,
  /** Host names and addresses of the server's certificate: 3 KiB, which small devices can still take. */
  serverNamesMax: 100,
  /** Bytes of a certificate or key file that are read: a chain has some 10 KiB. */
  pemBytesMax: 1_048_576,
  /** A certificate of a file is warned of when it has this long left. */
  certificateWarnMs: 2_592_000_000,
} as const;
