import type { Http } from "./http.ts";
import { basic } from "./http.ts";
import type { Dice } from "./dice.ts";
import { show, type Existence, type Ledger, type Target, type Write } from "./ledger.ts";
import { ACCOUNT, requestOf } from "./wire.ts";

/** What the writers over HTTP share. */
export type HttpLoad = {
  readonly http: Http;
  readonly ledger: Ledger;
  /** Resolves while the gateway serves; `false`: the load has ended. */
  readonly mayGo: () => Promise<boolean>;
  /** An answer that should not be. */
  readonly complain: (detail: string) => void;
};

/** One write. Without an answer nobody knows whether it was applied: it is not tried again. */
export async function writeValue(load: HttpLoad, writer: string, target: Target): Promise<Write> {
  const write = load.ledger.send(writer, target, true);
  const { method, path, body } = requestOf(target, write.value);
  const answer = await answerOf(load.http(method, path, body));
  if (answer === undefined) return write;
  if (answer.status < 300) load.ledger.acknowledge(write);
  else load.complain(`${method} ${path} of ${show(write)} was answered ${answer.status}`);
  return write;
}

/** Creates Things, writes to them, and deletes some of them. */
export async function churnThings(load: HttpLoad, dice: Dice, description: unknown): Promise<void> {
  const { ledger, http } = load;
  for (let number = 1; await load.mayGo(); number += 1) {
    const name = `passing-${number}`;
    const thing: Existence = { name, state: "creating" };
    ledger.things.push(thing);
    const path = `/${ACCOUNT}/things/${name}`;
    if (!(await settle(load, thing, "there", http("PUT", path, description)))) continue;
    for (let writes = dice.below(4); writes > 0; writes -= 1) {
      await writeValue(load, "passing", { kind: "properties", thing: name, names: ["level"] });
    }
    if (dice.chance(0.5) || !(await load.mayGo())) continue;
    thing.state = "deleting";
    await settle(load, thing, "gone", http("DELETE", path));
  }
}

/** Creates credentials for a Thing and deletes some of them. */
export async function churnCredentials(load: HttpLoad, dice: Dice, thing: string): Promise<void> {
  const { ledger, http } = load;
  const body = { resources: [{ entity: "things", id: [thing] }] };
  while (await load.mayGo()) {
    const answer = await answerOf(http("POST", `/${ACCOUNT}/mqtt`, body));
    if (answer === undefined) continue; // Nobody knows its password.
    if (answer.status !== 201) {
      load.complain(`POST /${ACCOUNT}/mqtt was answered ${answer.status}`);
      continue;
    }
    const made = answer.body as { ulid: string; username: string; password: string };
    const login = `${made.username}:${made.password}`;
    const credential: Existence = { name: made.ulid, state: "there", login };
    ledger.credentials.push(credential);
    if (dice.chance(0.5) || !(await load.mayGo())) continue;
    credential.state = "deleting";
    await settle(load, credential, "gone", http("DELETE", `/${ACCOUNT}/mqtt/${made.ulid}`));
  }
}

/** Whether a login works, asked for a Thing it is granted. */
export async function statusOfLogin(http: Http, login: string, thing: string): Promise<number> {
  const path = `/${ACCOUNT}/things/${thing}`;
  return (await http("GET", path, undefined, basic(login))).status;
}

async function settle(
  load: HttpLoad,
  existence: Existence,
  state: "there" | "gone",
  answer: ReturnType<Http>,
): Promise<boolean> {
  const status = (await answerOf(answer))?.status;
  if (status === undefined) return false;
  if (status < 300) existence.state = state;
  else load.complain(`${existence.name}, ${existence.state}, was answered ${status}`);
  return status < 300;
}

/** `undefined`: the connection failed before the answer was complete. */
async function answerOf(answer: ReturnType<Http>): Promise<Awaited<typeof answer> | undefined> {
  try {
    return await answer;
  } catch {
    return undefined;
  }
}
