import { GatewayError } from "../errors.ts";
import type { Answer, Call, Route } from "./call.ts";

/**
 * The gateway's CA, for everybody: it is what a device has to have before it can believe anything. Whoever
 * gets it over an unencrypted way compares its fingerprint with what the box shows.
 */
export const caRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/ca.crt",
    scopes: "none",
    isStatic: true,
    whileUnclaimed: true,
    answer: getPem,
  },
  {
    method: "GET",
    path: "/ca.der",
    scopes: "none",
    isStatic: true,
    whileUnclaimed: true,
    answer: getDer,
  },
  {
    method: "GET",
    path: "/ca.sha256",
    scopes: "none",
    isStatic: true,
    whileUnclaimed: true,
    answer: getFingerprint,
  },
];

function getPem(call: Call): Answer {
  // What installs it by itself looks for this name and this type, in either form (RFC 2585 §4.1).
  return file("ca.crt", "application/x-x509-ca-cert", caOf(call).pem);
}

function getDer(call: Call): Answer {
  return file("ca.der", "application/pkix-cert", caOf(call).der);
}

/** For `sha256sum --check`, beside `ca.der`; the first line is as browsers and OpenSSL show it. */
function getFingerprint(call: Call): Answer {
  const { fingerprint, sha256 } = caOf(call);
  return { status: 200, text: `# SHA-256 Fingerprint=${fingerprint}\n${sha256}  ca.der\n` };
}

function file(name: string, mediaType: string, text: string | Buffer): Answer {
  const headers = { "Content-Disposition": `attachment; filename="${name}"` };
  return { status: 200, text, mediaType, headers };
}

function caOf({ deps: { authority, caPem } }: Call): NonNullable<typeof authority> {
  // With a certificate of the operator's own there is a CA for clients all the same: it is not the one to trust.
  if (authority !== undefined && caPem !== undefined) return authority;
  throw new GatewayError(
    "not-found",
    "the gateway shows no certificate of a CA of its own: whose it is knows which CA to trust",
  );
}
