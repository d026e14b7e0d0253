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
  /** Client certificates of one credential: a device that asks for one at each start is to be noticed. */
  certificatesPerCredentialMax: 100,
  /** Life of a client certificate, in seconds: a year, as long as a device may be off and renew it after. */
  certificateLifeS: 31_536_000,
  /** Bytes of a request for a certificate as DER: one of RSA with 4,096 bits has about 2,000. */
  certificateRequestBytesMax: 8_192,
  /** Bits of an RSA key that gets a certificate: fewer are broken by 2030 (NIST SP 800-57). */
  rsaKeyBitsMin: 2_048,
  /** The same at the most: checking a signature of a larger one takes long for whoever asks. */
  rsaKeyBitsMax: 4_096,
} as const;
