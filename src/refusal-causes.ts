/** What a cause means to whoever stands before the device: in plain words, and what to do about it. */
type CauseRow = { readonly title: string; readonly remedy: string };

/**
 * The closed table of why a client was refused. `docs/security.md` has a row for each (tested). A
 * client is told less than this: who guesses must not learn which half of a log-in was right.
 */
export const REFUSAL_CAUSES = {
  "wrong-password": {
    title: "The password is wrong",
    remedy:
      "Compare it with what the device was given. Passwords are not kept: PATCH of the credential " +
      "with an empty password makes a new one.",
  },
  "unknown-user": {
    title: "There is no such user",
    remedy: "Look for typing errors, or make the credential: POST /{account}/mqtt.",
  },
  "unknown-token": {
    title: "The bearer token is unknown, revoked or expired",
    remedy: "Make another one: POST /gateway/tokens.",
  },
  "no-credentials": {
    title: "Neither user and password nor a token was given",
    remedy: "Set user and password in the device: anonymous clients are not served.",
  },
  "disabled-credential": {
    title: "The credential is disabled",
    remedy: "PATCH it with enabled: true, if it should work.",
  },
  "expired-credential": {
    title: "The credential has expired",
    remedy: "PATCH it with a later expires_at, or with null for none.",
  },
  "wrong-client-id": {
    title: "The credential is bound to another client id",
    remedy: "Give the device the client id of its credential, or PATCH the credential's client_id.",
  },
  "in-use-elsewhere": {
    title: "The client id belongs to the session of another credential",
    remedy: "Give each device a client id of its own; most libraries can make one up.",
  },
  "not-its-topic": {
    title: "The topic is outside what the credential was granted",
    remedy: "Compare it with topics of the credential; account and Thing id are part of the topic.",
  },
  "not-its-right": {
    title: "The token or credential does not cover the request",
    remedy: "Use a token with the scope, or a credential with a grant on this Thing.",
  },
  "bad-message": {
    title: "The message is not one that its topic or path takes",
    remedy: "What was said names the part that is wrong; the Thing Description says what is right.",
  },
  "bad-protocol": {
    title: "This is not the protocol of the port, or not a version of it that is spoken",
    remedy: "Set the device to MQTT 3.1.1 (the MQTT port) or HTTP/1.1 (the HTTP port).",
  },
  "too-many-failures": {
    title: "Too many log-ins of this user, or from this address, have failed",
    remedy:
      "Correct the device that fails, then wait a minute. The bounds are limits.login_failures_per_" +
      "name and limits.login_failures_per_minute_per_address.",
  },
  limits: {
    title: "A limit is reached",
    remedy: "What was said names the limit: see docs/limits.md, and raise it if the site needs it.",
  },
  unclaimed: {
    title: "The gateway has not been claimed",
    remedy: "Claim it first: sluice claim --show, at the box, says how.",
  },
  "unknown-ca": {
    title: "The client does not trust the gateway's certificate",
    remedy:
      "Give the device the gateway's CA (GET /ca.crt) and connect by a name in the certificate.",
  },
  "unknown-certificate": {
    title: "The client's certificate is not one of this gateway",
    remedy: "Let the gateway sign one for the Thing, and install it in the device.",
  },
  "expired-certificate": {
    title: "A certificate has expired, or is not valid yet",
    remedy: "Look at the clock of the device first; then renew the certificate.",
  },
  "other-user": {
    title: "The user is another than that of the client's certificate",
    remedy: "Leave user and password out, or give the device the certificate of this user.",
  },
  "revoked-certificate": {
    title: "The client's certificate was revoked",
    remedy: "Let the gateway sign a new one, if the device is to be let in again.",
  },
  "tls-version": {
    title: "No version of TLS that both sides speak",
    remedy: "Update the device to TLS 1.2 or later; tls.min_version says what is asked for.",
  },
  "tls-handshake": {
    title: "The TLS handshake failed",
    remedy: "What was said has the reason of the TLS library; try with openssl s_client.",
  },
  "plain-on-tls-port": {
    title: "The client speaks without TLS on a TLS port",
    remedy: "Switch TLS on in the device (mqtts:// or https://): this port takes nothing else.",
  },
  "tls-on-plain-port": {
    title: "The client speaks TLS on a port without it",
    remedy: "Use the TLS port (8883 or 8443), or switch TLS off in the device.",
  },
} as const satisfies Record<string, CauseRow>;

export type RefusalCause = keyof typeof REFUSAL_CAUSES;
