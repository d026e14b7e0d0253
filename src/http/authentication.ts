import type { X509Certificate } from "node:crypto";
import type { Peer } from "../channel.ts";
import { GatewayError } from "../errors.ts";
import {
  authenticateBasic,
  authenticateToken,
  principalOf,
  whyNot,
} from "../interactions/authentication.ts";
import { certificateLogin, type CertificateLogin } from "../interactions/certificate-login.ts";
import { SCOPES, type Principal } from "../thing/access.ts";
import { nameOfUser, principalOfUser } from "../interactions/users.ts";
import type { Call, HttpDeps } from "./call.ts";
import { LogIns } from "./log-ins.ts";
import { sessionOfCookie } from "./session-cookie.ts";
import type { AddressRate } from "../address-rate.ts";

/** Who may open the Unix socket: its mode says who that is. */
export const LOCAL_ADMIN: Principal = {
  kind: "token",
  name: "local admin",
  account: undefined,
  scopes: new Set(SCOPES),
};

/**
 * Who asks, as the header Authorization says, or without one the certificate of the client; loopback
 * is no substitute for either. Through the Unix socket both may be left out.
 */
export type Authenticator = (
  authorization: string | undefined,
  call: AuthenticatedCall,
) => Principal | Promise<Principal>;

type AuthenticatedCall = Peer & Pick<Call, "deps" | "header" | "method">;

/**
 * A right bearer token works at any time: it cannot be guessed. Basic is refused while the address
 * has no failures left, right or wrong, because a password a person chose can be.
 * @returns a function that throws GatewayError `unauthorized`, `rate-limited`.
 */
export function makeAuthenticator(deps: HttpDeps, failures: AddressRate): Authenticator {
  const logIns = new LogIns(deps.clock, deps.store.audit);
  return (authorization, call): Principal | Promise<Principal> => {
    const { address, channel, certificate } = call;
    if (authorization === undefined) {
      if (channel.kind === "local") return LOCAL_ADMIN;
      const person = fromCookie(call);
      if (person !== undefined) return person;
      if (certificate !== undefined) return fromCertificate(deps, certificate);
      const refusal = { cause: "no-credentials" } as const;
      throw new GatewayError("unauthorized", "there is no Authorization header", { refusal });
    }
    const [, scheme = "", credentials = ""] = /^(\S+) +(\S+) *$/.exec(authorization) ?? [];
    switch (scheme.toLowerCase()) {
      case "bearer": {
        const principal = authenticateToken(deps, credentials, address);
        if (principal !== undefined) return principal;
        takeLogin(failures, address);
        throw new GatewayError("unauthorized", "the bearer token is unknown, revoked or expired", {
          refusal: { cause: "unknown-token" },
        });
      }
      case "basic":
        return fromBasic(deps, failures, credentials, address).then((principal) => {
          const person = nameOfUser(principal);
          if (person !== undefined) logIns.note(person, call);
          return principal;
        });
      default:
        throw new GatewayError("unauthorized", "Authorization is neither Bearer nor Basic", {
          refusal: { cause: "no-credentials" },
        });
    }
  };
}

/** @throws GatewayError as `sessionOfCookie`. */
function fromCookie(call: AuthenticatedCall): Principal | undefined {
  const session = sessionOfCookie(call);
  const user = session === undefined ? undefined : call.deps.store.users.get(session.user);
  return user === undefined ? undefined : principalOfUser(user);
}

/** Nothing is guessed here: a wrong one takes no failure from its address. */
function fromCertificate(deps: HttpDeps, shown: X509Certificate): Principal {
  const login = certificateLogin(deps, shown);
  if (login.kind === "good") return principalOf(login.credential);
  throw certificateRefusal(login);
}

/** Of a certificate that is not good for what is asked. */
export function certificateRefusal(
  login: Exclude<CertificateLogin, { readonly kind: "good" }>,
): GatewayError {
  if (login.kind === "expired") {
    const { certificate, credential } = login;
    const detail = `the certificate ${certificate.serial} has expired: it is good for its renewal only`;
    const refusal = { cause: "expired-certificate", user: credential.username } as const;
    return new GatewayError("unauthorized", detail, { refusal });
  }
  const { cause, detail } = login;
  const said = `the client's certificate is not taken: ${detail}`;
  return new GatewayError("unauthorized", said, { refusal: { cause } });
}

async function fromBasic(
  deps: HttpDeps,
  failures: AddressRate,
  credentials: string,
  address: string,
): Promise<Principal> {
  const pair = parseBasic(credentials);
  takeLogin(failures, address, pair?.user);
  const principal =
    pair === undefined
      ? undefined
      : await authenticateBasic(deps, pair.user, pair.password, address);
  if (principal === undefined) {
    const cause = pair === undefined ? "no-credentials" : whyNot(deps, pair.user);
    throw new GatewayError("unauthorized", "the user or the password is wrong", {
      refusal: { cause, user: pair?.user },
    });
  }
  failures.giveBack(address);
  return principal;
}

/** @throws GatewayError `rate-limited`. */
export function takeLogin(failures: AddressRate, address: string, user?: string): void {
  const retryAfterS = failures.take(address);
  if (retryAfterS === 0) return;
  const detail = `too many failed log-ins from ${address}`;
  const refusal = { cause: "too-many-failures", user } as const;
  throw new GatewayError("rate-limited", detail, { retryAfterS, refusal });
}

export type UserAndPassword = { readonly user: string; readonly password: string };

/** A client id has colons in it, which Basic does not allow: clients send it encoded, or do not care. */
const BARE_CLIENT = /^(app::[0-9A-Z]{26}):(.*)$/s;

/** RFC 7617 in UTF-8; the user may be percent-encoded, RFC 6749 §2.3.1. */
export function parseBasic(credentials: string): UserAndPassword | undefined {
  const text = decodeUtf8(Buffer.from(credentials, "base64"));
  if (text === undefined) return undefined;
  const [, client, secret] = BARE_CLIENT.exec(text) ?? [];
  if (client !== undefined && secret !== undefined) return { user: client, password: secret };
  const colon = text.indexOf(":");
  if (colon === -1) return undefined;
  return { user: percentDecoded(text.slice(0, colon)), password: text.slice(colon + 1) };
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
