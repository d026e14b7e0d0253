import { z } from "zod";
import { parseStatusTopic, type StatusTopic } from "../src/thing/topics.ts";
import { connectClient, makeCredential, type Client, type Line } from "./line.ts";

/** Readings come by the dozen: of each property one in this many seconds is told. */
const TELL_EVERY_S = 1;

/** A client that hears everything that happens to any Thing, and tells it. */
export async function openPanel(line: Line): Promise<Client> {
  const credential = await makeCredential(line, "*", "consumer");
  const toldAtS = new Map<string, number>();
  const tell = (text: string, message: unknown): undefined => {
    const topic = parseStatusTopic(text);
    if (topic === undefined) return;
    const now = line.elapsedS();
    if (topic.kind === "property") {
      if (now - (toldAtS.get(text) ?? -Infinity) < TELL_EVERY_S) return;
      toldAtS.set(text, now);
    }
    line.say(topic.thing, describe(topic, message));
  };
  const filters = ["status/site/things/+/#"];
  return connectClient(line, { ...credential, clientId: "panel", filters, onMessage: tell });
}

const refusal = z.object({ code: z.string(), detail: z.string() });
const values = z.record(z.string(), z.unknown());
const requests = z.record(
  z.string(),
  z.object({ status: z.string(), output: z.unknown().optional() }),
);
const events = z.record(z.string(), z.object({ data: z.unknown().optional() }));

const presence = z.object({ state: z.string() });

function describe(topic: StatusTopic, message: unknown): string {
  switch (topic.kind) {
    case "property":
      return `${topic.name} is ${JSON.stringify(values.parse(message)[topic.name])}`;
    case "action": {
      const { status = "unknown", output } = requests.parse(message)[topic.name] ?? {};
      const result = output === undefined ? "" : `, output ${JSON.stringify(output)}`;
      return `action ${topic.name} is ${status}${result}`;
    }
    case "event":
      return `EVENT ${topic.name}: ${JSON.stringify(events.parse(message)[topic.name]?.data)}`;
    case "errors": {
      const { code, detail } = refusal.parse(message);
      return `was refused: ${code}: ${detail}`;
    }
    case "description":
      return "has a new description";
    case "data":
      return "sent raw data";
    case "connection":
      return `is ${presence.parse(message).state}`;
  }
}
