import { connectClient, type Login } from "./mqtt-client.ts";
import type { Fault } from "./fault.ts";
import { basic, listOf, type Http } from "./http.ts";
import { show, type Existence, type Ledger, type Write } from "./ledger.ts";
import { FREE_TREE, THINGS } from "./site.ts";
import { ACCOUNT } from "./wire.ts";

type ApiCheck = { readonly http: Http; readonly ledger: Ledger; readonly probe: Login };

const ASKED_AT_ONCE = 16;
/** Log-ins that have to be refused, each look: the gateway stretches the password of each for a tenth of a second. */
const REFUSALS_A_LOOK = 8;

/**
 * Asks a running gateway for what it has acknowledged. Everybody else may go on writing meanwhile:
 * what is asked for is what had been acknowledged before.
 */
export class ApiChecker {
  readonly #check: ApiCheck;
  /** What history has shown already. */
  readonly #shown = new Set<Write>();
  readonly #checked = new Map<Existence, Existence["state"]>();

  constructor(check: ApiCheck) {
    this.#check = check;
  }

  /** `all`: also what an earlier call has found. */
  async faults(options: { readonly all: boolean }): Promise<readonly Fault[]> {
    if (options.all) this.#shown.clear();
    if (options.all) this.#checked.clear();
    const found = await Promise.all([
      this.#checkHistory(),
      this.#checkValues(),
      this.#checkExistence(),
      this.#checkRetained(),
    ]);
    return found.flat();
  }

  /** Newest first, until all that is looked for has been seen. */
  async #checkHistory(): Promise<readonly Fault[]> {
    const { ledger } = this.#check;
    const missing = new Map<string, Set<Write>>();
    for (const write of ledger.acknowledged()) {
      const path = historyOf(write);
      if (path === undefined || this.#shown.has(write)) continue;
      const ofPath = missing.get(path);
      if (ofPath === undefined) missing.set(path, new Set([write]));
      else ofPath.add(write);
    }
    const found = [...missing].map(async ([path, writes]) => this.#findShown(path, writes));
    return (await Promise.all(found)).flat();
  }

  async #findShown(path: string, writes: Set<Write>): Promise<readonly Fault[]> {
    const { ledger, http } = this.#check;
    const faults: Fault[] = [];
    for await (const item of listOf(http, path)) {
      for (const value of valuesIn(item)) {
        const write = ledger.get(value);
        if (write === undefined) {
          faults.push({ rule: "shown", detail: `${path} shows ${value}, which was never sent` });
        } else if (isWholeIn(item, write) && writes.delete(write)) {
          this.#shown.add(write);
        }
      }
      if (writes.size === 0) break;
    }
    for (const write of writes) {
      faults.push({ rule: "shown", detail: `${path} does not show ${show(write)}` });
    }
    return faults;
  }

  async #checkValues(): Promise<readonly Fault[]> {
    const { ledger, http } = this.#check;
    const faults: Fault[] = [];
    for (const thing of THINGS) {
      const until = ledger.now;
      const { status, body } = await http("GET", `/${ACCOUNT}/things/${thing}/properties`);
      if (status !== 200) faults.push({ rule: "shown", detail: `${thing} gives ${status}` });
      const values = status === 200 ? (body as Record<string, number>) : {};
      for (const cell of ledger.cells.filter((cell) => cell.thing === thing)) {
        const name = cell.name.slice(thing.length + 1);
        const why = ledger.whyNotLast(cell.name, values[name], until);
        if (why !== undefined) faults.push({ rule: "shown", detail: `${cell.name} ${why}` });
      }
    }
    return faults;
  }

  /** Things are there or gone; credentials work or do not. */
  async #checkExistence(): Promise<readonly Fault[]> {
    const { things, credentials } = this.#check.ledger;
    const isWaiting = (existence: Existence): boolean =>
      this.#checked.get(existence) !== existence.state;
    const newest = [...credentials].reverse().filter(isWaiting);
    const refused = newest.filter(({ state }) => state === "gone").slice(0, REFUSALS_A_LOOK);
    const served = newest.filter(({ state }) => state !== "gone");
    const waiting = [...[...things].filter(isWaiting), ...served, ...refused];
    const faults: Fault[] = [];
    const ask = async (): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        faults.push(...(await this.#checkOne(next)));
      }
    };
    await Promise.all(Array.from({ length: ASKED_AT_ONCE }, ask));
    return faults;
  }

  async #checkOne(existence: Existence): Promise<readonly Fault[]> {
    const { name, state, login } = existence;
    if (state !== "there" && state !== "gone") return [];
    const { http } = this.#check;
    const things = `/${ACCOUNT}/things`;
    const [path, gone] =
      login === undefined ? [`${things}/${name}`, 404] : [`${things}/meter`, 401];
    const { status } = await http(
      "GET",
      path,
      undefined,
      login === undefined ? undefined : basic(login),
    );
    if (existence.state !== state) return []; // Deleted meanwhile.
    this.#checked.set(existence, state);
    if (status === (state === "there" ? 200 : gone)) return [];
    return [{ rule: "existence", detail: `${name} is ${state} and gives ${status}` }];
  }

  /** What a new subscriber gets at once: values of Things and retained messages. */
  async #checkRetained(): Promise<readonly Fault[]> {
    const { ledger, probe } = this.#check;
    const client = connectClient(probe, { clean: true });
    const got = new Map<string, number>();
    const until = ledger.now;
    try {
      const asked = `${FREE_TREE}-probe`;
      const arrived = new Promise<void>((resolve) => {
        client.on("message", (topic, payload, { retain }) => {
          if (topic === asked) resolve();
          const [value] = Object.values({ ...numbersOf(JSON.parse(payload.toString())) });
          if (retain && value !== undefined) got.set(cellOf(topic), value);
        });
      });
      const status = `status/${ACCOUNT}/things/+/properties/#`;
      await client.subscribeAsync([status, `${FREE_TREE}/#`, asked], { qos: 1 });
      // Behind everything that the subscription gave.
      await client.publishAsync(asked, "0", { qos: 1 });
      await arrived;
    } finally {
      client.end(true);
    }
    const permanent: ReadonlySet<string> = new Set(THINGS);
    return ledger.cells
      .filter(({ thing }) => thing === undefined || permanent.has(thing))
      .flatMap(({ name }) => {
        const why = ledger.whyNotLast(name, got.get(name), until);
        if (why === undefined) return [];
        return [{ rule: "shown", detail: `retained ${name} ${why}` } as const];
      });
  }
}

function historyOf({ target }: Write): string | undefined {
  if (target.kind === "message") return undefined;
  const thing = `/${ACCOUNT}/things/${target.thing}`;
  const permanent: readonly string[] = THINGS;
  if (!permanent.includes(target.thing)) return undefined; // Deleted with its history.
  switch (target.kind) {
    case "properties":
      return `${thing}/properties-history`;
    case "event":
      return `${thing}/events/${target.name}`;
    case "data":
      return `/${ACCOUNT}/data/${target.thing}`;
    case "report":
      // The output of a request is that of its last report.
      return target.status === "completed" ? `${thing}/actions/${target.name}` : undefined;
    case "request":
      return `${thing}/actions/${target.name}`;
  }
}

/** Every number an item of a list holds, however deep. */
function valuesIn(item: unknown): readonly number[] {
  return [...new Set(Object.values({ ...numbersOf(item) }))];
}

function numbersOf(item: unknown, path = ""): Record<string, number> {
  if (typeof item === "number") return { [path]: item };
  if (typeof item !== "object" || item === null) return {};
  return Object.assign(
    {},
    ...Object.entries(item).map(([name, part]) => numbersOf(part, `${path}/${name}`)),
  ) as Record<string, number>;
}

/** A map of several values is shown with all of them. */
function isWholeIn(item: unknown, { target, value }: Write): boolean {
  if (target.kind !== "properties") return true;
  const { properties } = item as { properties: Record<string, unknown> };
  return target.names.every((name) => properties[name] === value);
}

function cellOf(topic: string): string {
  const [root, , , thing, , ...name] = topic.split("/");
  return root === "status" ? `${thing ?? ""}/${name.join("/")}` : topic;
}
