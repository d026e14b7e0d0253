import { z } from "zod";
import {
  actionSetTopic,
  actionStatusTopic,
  eventSetTopic,
  propertySetTopic,
  propertyStatusTopic,
} from "../src/thing/topics.ts";
import { connectClient, every, makeCredential, pause, type Client, type Line } from "./line.ts";
import type { ThingName } from "./things.ts";

/** Does what it is for until the demo is over, then disconnects. */
export type Device = (line: Line) => Promise<void>;

const named = (id: ThingName) => ({ account: "site", id });

/** A sensor: a reading every tenth of a second, and an alarm when it becomes too hot. */
export const runOven: Device = async (line) => {
  const credential = await makeCredential(line, "oven", "device");
  const client = await connectClient(line, { ...credential, clientId: "oven" });
  let wasHot = false;
  await every(100, line, async (round) => {
    const temperature = Math.round(1_800 + 140 * Math.sin(round / 12)) / 10;
    await client.publish(propertySetTopic(named("oven"), "temperature"), { temperature });
    const isHot = temperature > 190;
    if (isHot && !wasHot) {
      const overheated = { data: temperature };
      await client.publish(eventSetTopic(named("oven"), "overheated"), { overheated });
    }
    wasHot = isHot;
  });
  await client.end();
};

/** Its speed is written by HTTP; it hears of it by MQTT and says how fast it goes. */
export const runConveyor: Device = async (line) => {
  const credential = await makeCredential(line, "conveyor", "device");
  const speedMessage = z.object({ speed: z.number() });
  const client = await connectClient(line, {
    ...{ ...credential, clientId: "conveyor" },
    filters: [propertyStatusTopic(named("conveyor"), "speed")],
    onMessage: async (_topic, message, { publish }) => {
      const { speed: actualSpeed } = speedMessage.parse(message);
      await publish(propertySetTopic(named("conveyor"), "actualSpeed"), { actualSpeed });
    },
  });
  await every(1_200, line, async (round) => {
    const speed = Math.round(50 + 100 * Math.abs(Math.sin(round))) / 100;
    line.say("operator", `sets the conveyor to ${speed} m/s, by HTTP`);
    await line.call("PUT", "/site/things/conveyor/properties/speed", { speed });
    line.tally.writtenByHttp += 1;
  });
  await client.end();
};

/** A counter, at QoS 2: each stroke is counted once, whatever the line does. */
export const runPress: Device = async (line) => {
  const credential = await makeCredential(line, "press", "device");
  const client = await connectClient(line, { ...credential, clientId: "press" });
  await every(50, line, async (round) => {
    const strokes = round + 1;
    await client.publish(propertySetTopic(named("press"), "strokes"), { strokes }, 2);
  });
  await client.end();
};

/** An actuator: it does what it is asked to. Now and then its line is cut; it misses nothing. */
export const runValve: Device = async (line) => {
  const credential = await makeCredential(line, "valve", "device");
  const connectValve = async (): Promise<Client> =>
    connectClient(line, {
      ...{ ...credential, clientId: "valve" },
      filters: [actionStatusTopic(named("valve"), "move")],
      onMessage: async (_topic, message, client) => {
        const { move } = moveMessage.parse(message);
        if (move.status === "pending") await moveTo(client, move);
      },
    });
  let client = await connectValve();
  await every(900, line, async (round) => {
    const isCut = round % 4 === 1;
    if (isCut) {
      await client.end();
      line.say("valve", "loses its line");
    }
    const input = (round * 35) % 101;
    line.say("operator", `asks the valve to move to ${input} %, by HTTP`);
    await line.call("POST", "/site/things/valve/actions/move", { move: { input } });
    line.tally.writtenByHttp += 1;
    if (!isCut) return;
    await pause(300, line.signal);
    line.say("valve", "is back");
    client = await connectValve();
  });
  await client.end();
};

const moveMessage = z.object({
  move: z.object({ href: z.string(), status: z.string(), input: z.number() }),
});

async function moveTo(
  client: Client,
  { href, input }: z.infer<typeof moveMessage>["move"],
): Promise<void> {
  const topic = actionSetTopic(named("valve"), "move");
  await client.publish(topic, { move: { href, status: "running" } });
  await client.publish(propertySetTopic(named("valve"), "position"), { position: input });
  await client.publish(topic, { move: { href, status: "completed", output: input } });
}

/** What the bad firmware does in turn, and how it is meant. */
const MISTAKES: readonly (readonly [what: string, topic: string, payload: unknown])[] = [
  ["a good reading", propertySetTopic(named("misfit"), "level"), { level: 4.2 }],
  ["half a JSON text", propertySetTopic(named("misfit"), "level"), '{"level": 4'],
  ["a level of 900", propertySetTopic(named("misfit"), "level"), { level: 900 }],
  ["a number as text", propertySetTopic(named("misfit"), "level"), { level: "4.2" }],
  ["a property it has not", propertySetTopic(named("misfit"), "depth"), { depth: 4.2 }],
  [
    "strokes of the press (it has no right there: only counted)",
    propertySetTopic(named("press"), "strokes"),
    { strokes: 0 },
  ],
  [
    "a forged status (no topic of a device: only counted)",
    propertyStatusTopic(named("oven"), "temperature"),
    { temperature: 20 },
  ],
];

/** Sends what it must not. All of it is acknowledged, nothing of it does harm. */
export const runMisfit: Device = async (line) => {
  const credential = await makeCredential(line, "misfit", "device");
  const client = await connectClient(line, { ...credential, clientId: "misfit" });
  await every(300, line, async (round) => {
    const [what, topic, payload] = MISTAKES[round % MISTAKES.length] ?? ["", "", ""];
    line.say("misfit", `publishes ${what}`);
    await client.publish(topic, payload);
  });
  await client.end();
};
