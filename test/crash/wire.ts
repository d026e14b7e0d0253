import type { Target } from "./ledger.ts";

/** How a write is said over each protocol. */

export const ACCOUNT = "site";

export type Publish = {
  readonly topic: string;
  readonly payload: string;
  readonly retain: boolean;
};

export function publishOf(target: Target, value: number): Publish {
  const [topic, payload] = topicAndPayload(target, value);
  const retain = target.kind === "message" && target.retain;
  return { topic, payload: JSON.stringify(payload), retain };
}

function topicAndPayload(target: Target, value: number): readonly [string, unknown] {
  if (target.kind === "message") return [target.topic, value];
  if (target.kind === "data") return [`${ACCOUNT}/data/${target.thing}`, { value }];
  const set = `set/${ACCOUNT}/things/${target.thing}`;
  switch (target.kind) {
    case "properties": {
      const [only, ...others] = target.names;
      const topic = `${set}/properties`;
      const payload = valuesOf(target.names, value);
      return others.length === 0 ? [`${topic}/${only ?? ""}`, payload] : [topic, payload];
    }
    case "event":
      return [`${set}/events/${target.name}`, { [target.name]: { data: value } }];
    case "request":
      return [`${set}/actions/${target.name}`, { [target.name]: { input: value } }];
    case "report": {
      const { name, href, status } = target;
      return [`${set}/actions/${name}`, { [name]: { href, status, output: value } }];
    }
  }
}

export type Request = { readonly method: string; readonly path: string; readonly body: unknown };

/** @throws Error for what HTTP does not offer or the test does not send. */
export function requestOf(target: Target, value: number): Request {
  if (target.kind === "data") {
    return { method: "POST", path: `/${ACCOUNT}/data/${target.thing}`, body: { value } };
  }
  if (target.kind === "message" || target.kind === "report") {
    throw new Error(`a ${target.kind} is not sent by HTTP`);
  }
  const thing = `/${ACCOUNT}/things/${target.thing}`;
  switch (target.kind) {
    case "properties": {
      const [only, ...others] = target.names;
      const path = `${thing}/properties${others.length === 0 ? `/${only ?? ""}` : ""}`;
      return { method: "PUT", path, body: valuesOf(target.names, value) };
    }
    case "event": {
      const body = { [target.name]: { data: value } };
      return { method: "POST", path: `${thing}/events/${target.name}`, body };
    }
    case "request": {
      const body = { [target.name]: { input: value } };
      return { method: "POST", path: `${thing}/actions/${target.name}`, body };
    }
  }
}

function valuesOf(names: readonly string[], value: number): Record<string, number> {
  return Object.fromEntries(names.map((name) => [name, value]));
}
