import type { Dice } from "../crash/dice.ts";
import {
  ACCOUNT,
  DESCRIPTION,
  enter,
  expect,
  onThings,
  pause,
  publish,
  subscribe,
  type Login,
  type Role,
  type Stage,
} from "./stage.ts";

/**
 * Things and credentials that come and go, with a persistent session each: whichever of the two is
 * deleted first, nothing of them may stay. What was begun is finished, also when the run is over.
 */
export const passing: Role = async (stage, dice) => {
  for (let round = 0; !stage.over.aborted; round += 1) {
    await pass(stage, dice, `passing-${round % 10}`);
    await pause(200 + dice.below(800), stage.over);
  }
};

async function pass(stage: Stage, dice: Dice, thing: string): Promise<void> {
  const path = `/${ACCOUNT}/things/${thing}`;
  await expect(stage, [201], "PUT", path, DESCRIPTION);
  const body = { resources: onThings(thing) };
  const made = await expect(stage, [201], "POST", `/${ACCOUNT}/mqtt`, body);
  // `expect` has said what went wrong.
  if (made === undefined) return;
  const { ulid, ...login } = made as Login & { ulid: string };
  const client = await enter(stage, login, { clientId: thing, clean: false });
  if (client !== undefined) {
    const set = `set/${ACCOUNT}/things/${thing}`;
    await subscribe(client, `status/${ACCOUNT}/things/${thing}/#`, 1);
    await publish(stage, client, [
      { topic: `${set}/properties/a`, payload: { a: 1 }, qos: 1 },
      { topic: `${set}/events/alarm`, payload: { alarm: { data: 1 } }, qos: 2 },
    ]);
    if (dice.chance(0.5)) await client.endAsync();
  }
  await expect(stage, [200], "PATCH", path, { title: `patched ${dice.below(100)}` });
  const deletions = [path, `/${ACCOUNT}/mqtt/${ulid}`];
  if (dice.chance(0.5)) deletions.reverse();
  // A credential with no Thing left may already have gone with it.
  for (const each of deletions) await expect(stage, [204, 404], "DELETE", each);
  await client?.endAsync(true);
  if (dice.chance(0.3)) await passToken(stage);
}

async function passToken(stage: Stage): Promise<void> {
  const body = { scopes: ["thing.read"], description: "passing" };
  const made = await expect(stage, [201], "POST", "/gateway/tokens", body);
  if (made === undefined) return;
  const { ulid, token } = made as { ulid: string; token: string };
  const authorization = `Bearer ${token}`;
  const path = `/${ACCOUNT}/things/boiler`;
  await expect(stage, [200], "GET", path, undefined, { authorization, once: true });
  await expect(stage, [204], "DELETE", `/gateway/tokens/${ulid}`);
  await expect(stage, [401], "GET", path, undefined, { authorization, once: true });
}
