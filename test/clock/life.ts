import type { Test } from "tap";
import { Client, connackCode } from "../wire/client.ts";
import type { Login, Site } from "../wire/site.ts";

/** A gateway that is reached through its ports only. Its account is `A`. */
export type Subject = Pick<Site, "mqttPort" | "url" | "call" | "did" | "makeCredential"> & {
  /** So much time passes, by every clock. */
  readonly pass: (ms: number) => Promise<void>;
};

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const BOILER = "/A/things/boiler";
const LIFE = {
  properties: { level: { type: "integer" } },
  events: { beat: { data: { type: "integer" } } },
  actions: { go: {} },
};

/** Tokens and credentials that are good for an hour, and such as have expired. */
type Access = {
  readonly lasting: { readonly tokens: readonly string[]; readonly logins: readonly Login[] };
  readonly expired: { readonly tokens: readonly string[]; readonly login: Login };
};

type Page = {
  readonly data: readonly Readonly<Record<string, unknown>>[];
  readonly paging: { readonly next_cursor: string };
};

/** What a site did, and what of it has to be true whatever its clock did meanwhile. */
export class Life {
  readonly #t: Test;
  readonly #subject: Subject;
  readonly #access: Access;
  readonly #device: Login;
  /** Of the first values; the back-filled one is a day before. */
  readonly #beginMs: number;
  readonly #pending: string[] = [];
  /** Descriptions of tokens. */
  readonly #described: string[] = [];
  readonly #expired: string;
  /** 1 to this were written as values, data and events. */
  #written = 0;

  private constructor(
    t: Test,
    subject: Subject,
    begun: { access: Access; device: Login; beginMs: number; expired: string },
  ) {
    this.#t = t;
    this.#subject = subject;
    this.#access = begun.access;
    this.#device = begun.device;
    this.#beginMs = begun.beginMs;
    this.#expired = begun.expired;
  }

  static async begin(t: Test, subject: Subject): Promise<Life> {
    await subject.did("PUT", BOILER, LIFE);
    const device = await subject.makeCredential([
      { entity: "things", id: ["boiler"] },
      { entity: "data", id: ["boiler"] },
    ]);
    const beginMs = await timeOf(subject);
    await subject.did("POST", `${BOILER}/properties-history`, backfilledAt(beginMs));
    const sleeper = await connectSleeper(t, subject, device);
    await sleeper.subscribe("status/A/things/boiler/events/beat");
    await sleeper.end();
    const expired = await request(subject, { timeout: 0.2 });
    const access = await makeAccess(subject, beginMs);
    // Long enough for the gateway to have looked what has expired.
    await subject.pass(1_000);
    const life = new Life(t, subject, { access, device, beginMs, expired });
    await life.use();
    await life.check("before");
    return life;
  }

  /** Values, events, data and a request, by both protocols. */
  async use(): Promise<void> {
    const writer = await Client.connect(this.#t, this.#subject, this.#device);
    for (let round = 0; round < 2; round += 1) {
      this.#written += 1;
      const n = this.#written;
      await this.#subject.did("PUT", `${BOILER}/properties/level`, { level: n });
      await this.#subject.did("POST", `${BOILER}/events/beat`, { beat: { data: n } });
      await this.#subject.did("POST", "/A/data/boiler", { n });
      this.#written += 1;
      const m = this.#written;
      await writer.publish("set/A/things/boiler/properties/level", { level: m });
      await writer.publish("set/A/things/boiler/events/beat", { beat: { data: m } });
      await writer.publish("A/data/boiler", { n: m });
      await this.#subject.pass(20);
    }
    await writer.end();
    this.#pending.push(await request(this.#subject, { timeout: 3_600 }));
    const description = `made when ${this.#written} were written`;
    const token = { scopes: ["gateway.read"], description };
    await this.#subject.did("POST", "/gateway/tokens", token);
    this.#described.push(description);
  }

  /** `when` is in the title of what does not hold. */
  async check(when: string): Promise<void> {
    await this.#checkOrder(when);
    await this.#checkTimes(when);
    await this.#checkAccess(when);
    await this.#checkRequests(when);
  }

  /** What a persistent session was owed since the beginning is there, in its order. */
  async checkSession(when: string): Promise<void> {
    const sleeper = await connectSleeper(this.#t, this.#subject, this.#device);
    this.#t.ok(sleeper.sessionPresent, `${when}: its session is there`);
    const beats = (await sleeper.next(this.#written)).map(({ text }) => text);
    const numbers = beats.map((text) => (JSON.parse(text) as { beat: { data: number } }).beat.data);
    this.#t.same(numbers, upTo(this.#written), `${when}: and owed the events in their order`);
    await sleeper.end();
  }

  async #checkOrder(when: string): Promise<void> {
    const all = upTo(this.#written).reverse();
    const lists: readonly (readonly [path: string, expected: unknown])[] = [
      [`${BOILER}/properties-history/level`, [...all, 0]],
      [`${BOILER}/events/beat`, all],
      ["/A/data/boiler", all],
    ];
    for (const [path, expected] of lists) {
      for (const limit of [3, 1_000]) {
        const items = await itemsOf(this.#subject, path, limit);
        this.#t.same(items.map(numberIn), expected, `${when}: ${path}, ${limit} a page`);
      }
    }
    const requests = await itemsOf(this.#subject, `${BOILER}/actions/go`, 2);
    const hrefs = requests.map((item) => (item["go"] as { href: string }).href);
    const made = [this.#expired, ...this.#pending].reverse();
    this.#t.same(hrefs, made, `${when}: requests in their order`);
    const tokens = await itemsOf(this.#subject, "/gateway/tokens", 2);
    const described = tokens.map(({ description }) => description as string);
    const own = described.filter((text) => this.#described.includes(text));
    this.#t.same(own, this.#described, `${when}: tokens in the order in which they were made`);
  }

  /** Times follow the order, and history is found by them. */
  async #checkTimes(when: string): Promise<void> {
    const path = `${BOILER}/properties-history/level`;
    const items = await itemsOf(this.#subject, path, 1_000);
    const times = items.map(({ at }) => Date.parse(at as string)).reverse();
    this.#t.same(
      times,
      [...times].sort((a, b) => a - b),
      `${when}: times follow the order`,
    );
    const now = await timeOf(this.#subject);
    this.#t.ok((times.at(-1) ?? Infinity) <= now, `${when}: none of them is to come`);
    const numbersAt = async (at: string): Promise<readonly unknown[]> => {
      const query = new URLSearchParams({ at });
      return (await itemsOf(this.#subject, `${path}?${query.toString()}`, 1_000)).map(numberIn);
    };
    const iso = (ms: number): string => new Date(ms).toISOString();
    const all = upTo(this.#written).reverse();
    this.#t.same(await numbersAt(iso(now)), all.slice(0, 1), `${when}: the value of now`);
    this.#t.same(await numbersAt(iso(this.#beginMs - 1)), [0], `${when}: that of before`);
    const range = `${iso(this.#beginMs)}|${iso(now)}`;
    this.#t.same(await numbersAt(range), all, `${when}: what there was since`);
    const taken = { json: backfilledAt(this.#beginMs) };
    const { status } = await this.#subject.call("POST", `${BOILER}/properties-history`, taken);
    this.#t.equal(status, 409, `${when}: a time that is taken is taken`);
  }

  async #checkAccess(when: string): Promise<void> {
    const { lasting, expired } = this.#access;
    const statusOf = async (token: string): Promise<number> =>
      (await this.#subject.call("GET", BOILER, { token })).status;
    for (const token of lasting.tokens) {
      this.#t.equal(await statusOf(token), 200, `${when}: a token is good`);
    }
    for (const token of expired.tokens) {
      this.#t.equal(await statusOf(token), 401, `${when}: an expired token is not`);
    }
    for (const login of lasting.logins) {
      const code = await connackCode(this.#t, this.#subject, login);
      this.#t.equal(code, 0, `${when}: a credential is good`);
    }
    const code = await connackCode(this.#t, this.#subject, expired.login);
    this.#t.equal(code, 4, `${when}: an expired credential is not`);
  }

  async #checkRequests(when: string): Promise<void> {
    const statusOf = async (href: string): Promise<string> =>
      ((await this.#subject.did("GET", href)).json as { go: { status: string } }).go.status;
    for (const href of this.#pending) {
      this.#t.equal(await statusOf(href), "pending", `${when}: a request waits`);
    }
    this.#t.equal(await statusOf(this.#expired), "expired", `${when}: an expired one does not`);
  }
}

/** The gateway's own time. */
export async function timeOf(subject: Pick<Subject, "did">): Promise<number> {
  const { clock } = (await subject.did("GET", "/gateway")).json as { clock: { time: string } };
  return Date.parse(clock.time);
}

export async function clockStateOf(subject: Pick<Subject, "did">): Promise<string> {
  return ((await subject.did("GET", "/gateway")).json as { clock: { state: string } }).clock.state;
}

function backfilledAt(beginMs: number): object {
  return { at: new Date(beginMs - DAY).toISOString(), properties: { level: 0 } };
}

async function connectSleeper(t: Test, subject: Subject, login: Login): Promise<Client> {
  return Client.connect(t, subject, login, { clientId: "sleeper", clean: false });
}

async function request(subject: Subject, body: object): Promise<string> {
  const reply = await subject.did("POST", `${BOILER}/actions/go`, { go: body });
  return reply.headers.get("location") ?? "";
}

async function makeAccess(subject: Subject, nowMs: number): Promise<Access> {
  const soon = new Date(nowMs + 300).toISOString();
  const later = new Date(nowMs + HOUR).toISOString();
  const grant = [{ entity: "things", id: ["boiler"] }];
  const changed = await subject.makeCredential(grant);
  const overlapping = { password: "", overlap: 3_600 };
  const after = await subject.did("PATCH", `/A/mqtt/${changed.ulid}`, overlapping);
  const { password } = after.json as Login;
  return {
    lasting: {
      tokens: [await makeToken(subject, later), await issueToken(subject)],
      logins: [
        await subject.makeCredential(grant, { expires_at: later }),
        changed,
        { ...changed, password },
      ],
    },
    expired: {
      tokens: [await makeToken(subject, soon)],
      login: await subject.makeCredential(grant, { expires_at: soon }),
    },
  };
}

async function makeToken(subject: Subject, expiresAt: string): Promise<string> {
  const wanted = { account: "A", scopes: ["thing.read"], expires_at: expiresAt };
  return ((await subject.did("POST", "/gateway/tokens", wanted)).json as { token: string }).token;
}

/** An access token of an OAuth 2 client: it lives for an hour. */
export async function issueToken(subject: Subject): Promise<string> {
  const made = await subject.did("POST", "/A/clients", { scopes: ["thing.read"] });
  const client = made.json as { client_id: string; client_secret: string };
  const response = await fetch(`${subject.url}/oauth2/token`, {
    method: "POST",
    body: new URLSearchParams({ grant_type: "client_credentials", ...client }),
  });
  return ((await response.json()) as { access_token: string }).access_token;
}

async function itemsOf(subject: Subject, path: string, limit: number): Promise<Page["data"]> {
  const items: Page["data"][number][] = [];
  for (let cursor = ""; ;) {
    const separator = path.includes("?") ? "&" : "?";
    const query = `limit=${limit}${cursor === "" ? "" : `&next_cursor=${cursor}`}`;
    const page = (await subject.did("GET", `${path}${separator}${query}`)).json as Page;
    items.push(...page.data);
    cursor = page.paging.next_cursor;
    if (cursor === "") return items;
  }
}

/** The number that an item of any list was written with. */
function numberIn(item: Page["data"][number]): unknown {
  const { properties, content, beat } = item as {
    properties?: { level: number };
    content?: { n: number };
    beat?: { data: number };
  };
  return properties?.level ?? content?.n ?? beat?.data;
}

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}
