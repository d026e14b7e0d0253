/** The base64 lines of the first certificate of a PEM text (RFC 7468). */
export function base64LinesOf(pem: string): readonly string[] {
  const [, body = ""] = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END/.exec(pem) ?? [];
  return body.split(/\s+/).filter((line) => line !== "");
}

export function derOf(pem: string): Uint8Array {
  return Buffer.from(base64LinesOf(pem).join(""), "base64");
}

/** The lines of a PEM text. */
export function pemLines(pem: string): readonly string[] {
  return pem.split(/\r?\n/).filter((line) => line !== "");
}
