import { createHash } from "node:crypto";
import type { JsonObject } from "../../thing/json.ts";
import { derOf } from "./ca.ts";
import { mqttUrl, passwordNotes, warningsOf, type Card } from "./card.ts";

/** The card for programs. */
export function jsonCard(card: Card): JsonObject {
  const { account, ulid, host, port, isTls, httpUrl, caPem, user, topics, example } = card;
  const notes = card.password === undefined ? passwordNotes(card) : [];
  return {
    account,
    ulid,
    host,
    port,
    tls: isTls,
    mqtt_url: mqttUrl(card),
    http_url: httpUrl,
    user,
    password: card.password ?? null,
    client_id: card.clientId ?? null,
    ca: caPem ?? null,
    ca_sha256: caPem === undefined ? null : fingerprintOf(caPem),
    topics,
    example: example === undefined ? null : { ...example },
    notes: [...warningsOf(card), ...notes],
  };
}

/** SHA-256 of the certificate, as hex. */
export function fingerprintOf(caPem: string): string {
  return createHash("sha256").update(derOf(caPem)).digest("hex");
}
