import type { X509Certificate } from "node:crypto";
import { decode, encode, integer, oid, sequence, setOf, tagged } from "./der.ts";

const DATA = "1.2.840.113549.1.7.1";
const SIGNED_DATA = "1.2.840.113549.1.7.2";

/** Certificates in a SignedData that signs nothing (RFC 5652 §5.1, RFC 7030 §4.1.3), as DER. */
export function certsOnly(certificates: readonly X509Certificate[]): Buffer {
  return encode(
    sequence(
      oid(SIGNED_DATA),
      tagged(
        0,
        sequence(
          integer(Buffer.of(1)),
          setOf(),
          sequence(oid(DATA)),
          tagged(0, ...certificates.map(({ raw }) => decode(raw))),
          setOf(),
        ),
      ),
    ),
  );
}
