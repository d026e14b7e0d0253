import assert from "node:assert/strict";
import { ERRORS, type ErrorCode } from "../../src/errors.ts";
import type { Dice } from "../crash/dice.ts";
import { Bystander } from "./bystander.ts";
import { exchange, type Answer } from "./exchange.ts";
import { makeRequest, SECRET, type FuzzRequest } from "./http-requests.ts";
import { runRounds, type FuzzReport, type FuzzRun } from "./rounds.ts";
import { SITE } from "./site.ts";
import type { Target } from "./target.ts";

const REQUESTS_PER_ROUND = 20;
const PRUNE_EVERY_ROUNDS = 25;
const IDS_MAX = 60;

/**
 * Rounds of requests to every route with everything wrong that can be: each is answered in time, as
 * documented, and tells nothing that it must not.
 * @throws what went wrong, with the seed and the round.
 */
export async function fuzzHttp(run: FuzzRun): Promise<FuzzReport> {
  return runRounds("http", run, async (target) => {
    const bystander = await Bystander.connect(target);
    const kept = await credentialsOf(target);
    const answers: Record<string, number> = {};
    return {
      answers,
      round: async (dice, number) => {
        if (number % PRUNE_EVERY_ROUNDS === PRUNE_EVERY_ROUNDS - 1) await prune(target, kept);
        await askManyTimes(target, dice, (status) => {
          answers[status] = (answers[status] ?? 0) + 1;
        });
      },
      check: async () => {
        await bystander.check();
        const { status, text } = await target.call("GET", "/quiet/things/probe/properties/beat");
        assert.match(text, /^\{"beat":\d+\}$/, `${status} ${text}`);
      },
      end: async () => bystander.close(),
    };
  });
}

async function askManyTimes(
  target: Target,
  dice: Dice,
  onAnswer: (status: number) => void,
): Promise<void> {
  const ids: string[] = [];
  for (let left = REQUESTS_PER_ROUND; left > 0; left -= 1) {
    const together = Array.from({ length: dice.chance(0.2) ? 3 : 1 }, () =>
      makeRequest(dice, target, ids),
    );
    const outcomes = await Promise.all(
      together.map(async (request) => exchange(target.httpPort, request)),
    );
    for (const [at, outcome] of outcomes.entries()) {
      const request = together[at];
      if (request === undefined) continue;
      if (outcome.kind === "answer") {
        requireRight(target, request, outcome.answer);
        onAnswer(outcome.answer.status);
        if (outcome.answer.status === 201) ids.push(...idsIn(outcome.answer));
      } else if (request.isHttp || outcome.kind !== "closed") {
        throw new Error(`${outcome.kind}: ${outcome.bytes.toString("latin1")}\n${show(request)}`);
      }
    }
    ids.splice(0, Math.max(0, ids.length - IDS_MAX));
  }
}

function requireRight(target: Target, request: FuzzRequest, answer: Answer): void {
  const text = answer.body.toString("utf8");
  const faults = [
    ...formFaults(request, answer, text),
    ...accessFaults(request, answer),
    ...leaks(target, request, answer, text),
  ];
  if (faults.length === 0) return;
  const said = `${answer.status} ${JSON.stringify([...answer.headers])} ${text}`;
  throw new Error(`${faults.join("; ")}\n${said}\n${show(request)}`);
}

const JSON_TYPE = /^application\/([a-z-]+\+)?json$/;

/** Of what is no JSON: a page for people, the CA, and a card in the format that was asked for. */
function isText({ path }: FuzzRequest, type: string | undefined): boolean {
  const isCa = /^\/ca\.(crt|der|sha256)$/.test(path);
  return isCa || /^text\/(plain|html)|^image\/svg\+xml/.test(type ?? "");
}

/** As RFC 9457, RFC 6749 and docs/errors.md have it. */
function formFaults(request: FuzzRequest, answer: Answer, text: string): readonly string[] {
  const { status, headers } = answer;
  const type = headers.get("content-type");
  const isHead = request.method === "HEAD";
  if (isHead || status === 204 || status === 304) {
    if (text === "") return [];
    // What is no HTTP is answered before anybody knows that it was a HEAD.
    if (!isHead || request.isHttp) return ["a body where none may be"];
  }
  if (status === 200 && isText(request, type)) return [];
  const body = parse(text);
  if (body === undefined) return ["the body is not JSON"];
  if (status < 400) return JSON_TYPE.test(type ?? "") ? [] : [`a body of type ${type ?? "none"}`];
  if (request.path.startsWith("/oauth2/") && type === "application/json") {
    const { error, error_description: description, ...more } = body;
    const isRight = typeof error === "string" && typeof description === "string";
    return isRight && Object.keys(more).length === 0 && status < 500 ? [] : ["not RFC 6749 §5.2"];
  }
  if (type !== "application/problem+json") return [`an error of type ${type ?? "none"}`];
  const { code, title, detail } = body;
  const row = ERRORS[code as ErrorCode] as (typeof ERRORS)[ErrorCode] | undefined;
  if (row === undefined) return [`the code ${String(code)} is not in the table`];
  const faults: string[] = [];
  if (body["type"] !== `/problems/${String(code)}` || body["status"] !== status) {
    faults.push("type or status is not its own");
  }
  if (title !== row.title || typeof detail !== "string") faults.push("title or detail");
  // Not HTTP, too long or too late: no request there was.
  const isUnread = code === "malformed" && [400, 408, 431].includes(status);
  if (row.status !== status && !isUnread) faults.push(`${String(code)} with status ${status}`);
  if (status >= 500) faults.push("nothing here is the gateway's fault");
  if (status === 405 && !headers.has("allow")) faults.push("405 without Allow");
  return faults;
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

const OPEN =
  /^\/(healthz|readyz|problems\/|ui\/claim|ca\.(crt|der|sha256)|\.well-known\/est\/cacerts)/;

/** What may be wrong with a request before anybody looks whose it is: 421 is the host of a browser. */
const BEFORE_ACCESS = new Set([400, 401, 403, 421, 431]);

function accessFaults(request: FuzzRequest, { status }: Answer): readonly string[] {
  if (request.asker === "other" && request.isHttp && request.path.startsWith("/site/")) {
    const isRight = BEFORE_ACCESS.has(status) || (request.method === "OPTIONS" && status === 204);
    if (!isRight) return ["it can be told what another account has"];
  }
  if (status >= 400 || request.method === "OPTIONS") return [];
  const { path } = request;
  if (request.asker === "nobody" && !OPEN.test(path)) return ["done for nobody"];
  if (request.asker === "other" && /^\/(site|gateway|quiet)/.test(path))
    return ["another's account"];
  if (
    request.asker === "device" &&
    !/^\/site\/(things|data)\/boiler/.test(path) &&
    !OPEN.test(path)
  ) {
    return /^\/site\/(things|data)(\?|$)/.test(path) ? [] : ["not this device's"];
  }
  return [];
}

const TRACE = /\n\s+at |node_modules|file:\/\/|\.[jt]s:\d+/;

function leaks(
  target: Target,
  { method, path }: FuzzRequest,
  { status, headers }: Answer,
  text: string,
): readonly string[] {
  const all = `${JSON.stringify([...headers])}${text}`;
  const faults: string[] = [];
  if (TRACE.test(text)) faults.push("a stack trace");
  const secrets = [target.admin, target.siteToken, target.otherToken];
  secrets.push(...Object.values(target.logins).map(({ password }) => password));
  for (const secret of secrets) if (all.includes(secret)) faults.push("a secret");
  // The password that was chosen is in this one answer.
  const isCredential = /^\/[^/]+\/mqtt/.test(path) && method !== "GET" && status < 300;
  if (all.includes(SECRET) && !isCredential) faults.push("a password that was sent");
  return faults;
}

function idsIn({ headers, body }: Answer): readonly string[] {
  const text = `${headers.get("location") ?? ""} ${body.toString("utf8")}`;
  return text.match(/\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b/g)?.slice(0, 3) ?? [];
}

function show({ asker, bytes }: FuzzRequest): string {
  return `--- sent by ${asker}\n${JSON.stringify(bytes.subarray(0, 3_000).toString("latin1"))}`;
}

type Listed = { readonly data: readonly Readonly<Record<string, string>>[] };

async function credentialsOf(target: Target): Promise<ReadonlySet<string>> {
  const listed = await list(target, "/site/mqtt");
  return new Set(listed.map(({ ulid = "" }) => ulid));
}

async function list(target: Target, path: string): Promise<Listed["data"]> {
  const { status, text } = await target.call("GET", `${path}?limit=1000`);
  assert.equal(status, 200, `${path}: ${text}`);
  return (JSON.parse(text) as Listed).data;
}

/** Takes away what has piled up, so that there is room for more; mends what was broken. */
async function prune(target: Target, kept: ReadonlySet<string>): Promise<void> {
  for (const { ulid = "" } of await list(target, "/site/mqtt")) {
    if (!kept.has(ulid)) await target.call("DELETE", `/site/mqtt/${ulid}`);
  }
  for (const { id = "" } of await list(target, "/site/things")) {
    if (!(id in SITE.things)) await target.call("DELETE", `/site/things/${id}`);
  }
  for (const { client_id: id = "" } of await list(target, "/site/clients")) {
    await target.call("DELETE", `/site/clients/${encodeURIComponent(id)}`);
  }
  for (const { name = "" } of await list(target, "/gateway/uplinks")) {
    await target.call("DELETE", `/gateway/uplinks/${name}`);
  }
  for (const { ulid = "", expires_at: expires } of await list(target, "/gateway/tokens")) {
    if (typeof expires === "string") await target.call("DELETE", `/gateway/tokens/${ulid}`);
  }
  for (const name of ["temp", "temp2", "nobody"]) {
    await target.call("DELETE", `/gateway/accounts/${name}?force=true`);
  }
  await target.repair();
}
