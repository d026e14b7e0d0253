import type { ShownPattern } from "../../interactions/credential-resources.ts";

/**
 * All a device needs to connect, and one message it could send. What stands in it is what was chosen
 * for the credential and the Thing, so each format escapes it by the rules of its language.
 */
export type Card = {
  readonly account: string;
  /** ULID of the credential. */
  readonly ulid: string;
  /** A name or an address as the client came to the box; IPv6 without brackets. */
  readonly host: string;
  /** Of MQTT: with TLS if `isTls`. */
  readonly port: number;
  readonly isTls: boolean;
  readonly httpUrl: string;
  /** Whom to believe the server's certificate; absent: whom the client's system believes. */
  readonly caPem?: string;
  readonly user: string;
  /** Absent: it was shown once, in the answer that made it. */
  readonly password?: string;
  /** The only one it may connect with. */
  readonly clientId?: string;
  readonly topics: readonly ShownPattern[];
  /** A message the gateway would take; absent: there is nothing yet that could be published. */
  readonly example?: Example;
};

export type Example = { readonly topic: string; readonly payload: string };

/** What it may subscribe to, each filter once. */
export function subscriptionsOf({ topics }: Card): readonly string[] {
  const filters = topics.map((pair) => pair.pattern_sub).filter((filter) => filter !== "");
  return [...new Set(filters)];
}

/** `mqtts://host:8883`. */
export function mqttUrl({ host, port, isTls }: Card): string {
  return `${isTls ? "mqtts" : "mqtt"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** What whoever uses the card has to know: texts of ours, which can stand in any comment. */
export function warningsOf({ isTls, host }: Card): readonly string[] {
  const warnings: string[] = [];
  if (!isTls) {
    warnings.push("This is not encrypted: who is on the network reads the password and all else.");
  }
  if (/^(localhost|127\..*|::1)$/.test(host)) {
    warnings.push("This host is the box itself: ask for the card by the name that devices use.");
  }
  return warnings;
}

/** The lines that every text begins with. */
export function headingOf(card: Card, what: string): readonly string[] {
  return [
    `Sluice: MQTT credential ${card.ulid} of account ${card.account}, ${what}.`,
    ...warningsOf(card),
    ...(card.password === undefined ? passwordNotes(card) : []),
  ];
}

/** Where the password was shown, and how to get another. */
export function passwordNotes({ account, ulid }: Pick<Card, "account" | "ulid">) {
  return [
    "The password was shown once, in the answer that made it, and is stored nowhere.",
    `PATCH /${account}/mqtt/${ulid} {"password": ""} makes another.`,
  ] as const;
}
