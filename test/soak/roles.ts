import { setTimeout as sleep } from "node:timers/promises";
import type { MqttClient } from "mqtt";
import type { Dice } from "../crash/dice.ts";
import {
  ACCOUNT,
  complain,
  enter,
  expect,
  FREE_TREE,
  leave,
  pause,
  publish,
  subscribe,
  whileOpen,
  type Publish,
  type Role,
  type Stage,
} from "./stage.ts";

const setTopic = (thing: string): string => `set/${ACCOUNT}/things/${thing}`;
const statusTopic = (thing: string): string => `status/${ACCOUNT}/things/${thing}`;

/** A device that reports, comes and goes, sometimes with a will, sometimes by a cut line. */
export const device =
  (thing: "boiler" | "press" | "mixer"): Role =>
  async (stage, dice) => {
    const login = stage.logins[thing];
    while (!stage.over.aborted) {
      const clean = dice.chance(0.1);
      const topic = `${setTopic(thing)}/events/alarm`;
      const will = { topic, payload: Buffer.from('{"alarm":{"data":-1}}'), qos: 1 } as const;
      const client = await enter(stage, login, {
        ...{ clientId: thing, clean },
        ...(dice.chance(0.3) ? { will } : {}),
      });
      if (client === undefined) continue;
      await subscribe(client, `${statusTopic(thing)}/properties/+`, 1);
      for (let bursts = 5 + dice.below(60); bursts > 0 && isOpen(stage, client); bursts -= 1) {
        const burst = Array.from({ length: 1 + dice.below(6) }, () => report(thing, dice));
        await publish(stage, client, burst);
        await pause(10 + dice.below(60), stage.over);
      }
      await leave(stage, dice, client, login);
      await pause(dice.below(300), stage.over);
    }
  };

const isOpen = ({ over }: Stage, client: MqttClient): boolean => client.connected && !over.aborted;

function report(thing: string, dice: Dice): Publish {
  const set = setTopic(thing);
  const value = dice.below(1_000);
  const qos = dice.pick([0, 1, 1, 2] as const);
  const note = "n".repeat(dice.below(400));
  return dice.pick<Publish>([
    { topic: `${set}/properties/a`, payload: { a: value }, qos },
    { topic: `${set}/properties/b`, payload: { b: value }, qos },
    { topic: `${set}/properties`, payload: { a: value, note }, qos },
    { topic: `${set}/events/alarm`, payload: { alarm: { data: value } }, qos },
    { topic: `${ACCOUNT}/data/${thing}`, payload: { value, note }, qos },
  ]);
}

/** Watches all Things, with a persistent session whose queue fills while it is away. */
export const watcher: Role = async (stage, dice) => {
  const login = stage.logins.watcher;
  while (!stage.over.aborted) {
    const client = await enter(stage, login, { clientId: "watcher", clean: false });
    if (client === undefined) continue;
    const filters = [
      `${statusTopic("+")}/#`,
      `${statusTopic("+")}/properties/+`,
      `${ACCOUNT}/data/+`,
    ];
    await subscribe(client, dice.pick(filters), dice.pick([0, 1, 2] as const));
    await pause(1_000 + dice.below(4_000), stage.over);
    if (dice.chance(0.3)) await whileOpen(client, client.unsubscribeAsync(dice.pick(filters)));
    await leave(stage, dice, client, login);
    await pause(dice.below(3_000), stage.over);
  }
};

/** Retained messages that come and go, overlapping filters, and bulk for those who do not read. */
export const freeTopics: Role = async (stage, dice) => {
  const login = stage.logins.free;
  while (!stage.over.aborted) {
    const client = await enter(stage, login, { clientId: "free", clean: dice.chance(0.5) });
    if (client === undefined) continue;
    await subscribe(client, [`${FREE_TREE}/#`, `${FREE_TREE}/+/kept`], 2);
    for (let rounds = 20 + dice.below(100); rounds > 0 && isOpen(stage, client); rounds -= 1) {
      const qos = dice.pick([0, 1, 2] as const);
      const topic = `${FREE_TREE}/${dice.below(50)}/kept`;
      const payload = dice.chance(0.2) ? "" : "k".repeat(1 + dice.below(500));
      const bulk = { topic: `${FREE_TREE}/bulk`, payload: "b".repeat(32_768), qos: 0 } as const;
      await publish(stage, client, [{ topic, payload, qos, retain: true }, bulk]);
      await pause(20 + dice.below(60), stage.over);
    }
    await leave(stage, dice, client, login);
  }
};

/** Asks for everything and reads nothing. */
export const slowReader: Role = async (stage, dice) => {
  while (!stage.over.aborted) {
    const clientId = `slow-${dice.below(3)}`;
    const client = await enter(stage, stage.logins.free, { clientId, clean: true });
    if (client === undefined) continue;
    await subscribe(client, `${FREE_TREE}/#`, dice.pick([0, 1] as const));
    client.stream.pause();
    await pause(2_000 + dice.below(20_000), stage.over);
    client.stream.destroy();
    await client.endAsync(true);
  }
};

/** Requests actions by HTTP: some nobody does in time, some are cancelled. */
export const operator: Role = async (stage, dice) => {
  const path = `/${ACCOUNT}/things/valve/actions/open`;
  while (!stage.over.aborted) {
    const timeout = dice.pick([1, 5, 60]);
    const body = { open: { input: dice.below(100), timeout } };
    const answer = await expect(stage, [201], "POST", path, body);
    const { open } = (answer ?? {}) as { open?: { href: string } };
    // Running: 409; finished: it is removed; removed by the bounds of history: 404.
    if (open !== undefined && dice.chance(0.2)) {
      await expect(stage, [204, 404, 409], "DELETE", open.href);
    }
    await pause(100 + dice.below(300), stage.over);
  }
};

type ActionStatus = { readonly open: { readonly href: string; readonly status: string } };

/** The device that does what it is asked for, most of the time. */
export const valve: Role = async (stage, dice) => {
  const login = stage.logins.valve;
  while (!stage.over.aborted) {
    const client = await enter(stage, login, { clientId: "valve", clean: false });
    if (client === undefined) continue;
    const topic = `${setTopic("valve")}/actions/open`;
    client.on("message", (_topic, payload) => {
      const { href, status } = (JSON.parse(payload.toString()) as ActionStatus).open;
      if (status !== "pending" || dice.chance(0.2)) return;
      const running = { open: { href, status: "running" } };
      const completed = { open: { href, status: "completed", output: 1 } };
      void publish(stage, client, [
        { topic, payload: running, qos: 1 },
        { topic, payload: completed, qos: 1 },
      ]);
    });
    await subscribe(client, `${statusTopic("valve")}/actions/#`, 1);
    await pause(500 + dice.below(4_000), stage.over);
    await leave(stage, dice, client, login);
    await pause(dice.below(1_000), stage.over);
  }
};

/** Reads what there is: lists, pages of history, single values, what is not there. */
export const reader: Role = async (stage, dice) => {
  const things = `/${ACCOUNT}/things`;
  const paths = [
    ...[things, `${things}?property:a=gt:500&sort=-created&limit=2`, `${things}/boiler`],
    ...[`${things}/press/properties`, `${things}/mixer/properties-history?limit=100`],
    ...[`${things}/boiler/properties-history/a?limit=20`, `${things}/valve/actions?limit=20`],
    ...[
      `${things}/press/events`,
      `/${ACCOUNT}/data/mixer?limit=30`,
      `/${ACCOUNT}/mqtt`,
      "/gateway",
    ],
  ];
  while (!stage.over.aborted) {
    await expect(stage, [200], "GET", dice.pick(paths), undefined, { once: dice.chance(0.2) });
    if (dice.chance(0.1)) await expect(stage, [404], "GET", `${things}/nowhere`);
    const value = { b: dice.below(1_000) };
    if (dice.chance(0.3)) await expect(stage, [200], "PUT", `${things}/valve/properties/b`, value);
    await pause(20 + dice.below(100), stage.over);
  }
};

const CLOSED_MS_MAX = 3_000;

/** What a bad client does, one after the other; the gateway may log it, and goes on. */
export const rude: Role = async (stage, dice) => {
  const login = stage.logins.boiler;
  while (!stage.over.aborted) {
    const client = await enter(stage, login, { clientId: `rude-${dice.below(5)}`, clean: true });
    if (client !== undefined) {
      await publish(stage, client, [
        { topic: `${setTopic("boiler")}/properties/a`, payload: '{"a":', qos: 1 },
        { topic: `${setTopic("boiler")}/properties/a`, payload: { a: "text" }, qos: 2 },
        { topic: `${setTopic("press")}/properties/a`, payload: { a: 1 }, qos: 1 },
        { topic: `${statusTopic("boiler")}/properties/a`, payload: { a: 1 }, qos: 1 },
      ]);
      client.stream.write(Buffer.from(dice.pick(["f00000", "3000", "62ff7f", "00"]), "hex"));
      await whileOpen(client, sleep(CLOSED_MS_MAX));
      if (client.connected) complain(stage.tally, "a broken packet did not close its connection");
      await client.endAsync(true);
    }
    const authorization = "Bearer slu_nobody-has-this-token";
    if (dice.chance(0.3))
      await expect(stage, [401, 429], "GET", "/gateway", undefined, { authorization });
    await pause(1_000 + dice.below(3_000), stage.over);
  }
};
