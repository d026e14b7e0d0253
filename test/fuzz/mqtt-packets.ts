import type { Dice } from "../crash/dice.ts";
import {
  connect,
  DISCONNECT,
  PINGREQ,
  puback,
  pubcomp,
  publish,
  pubrec,
  pubrel,
  subscribe,
  unsubscribe,
  type Qos,
} from "../conformance/wire.ts";
import { mutatedJson } from "./json-bytes.ts";
import type { Login } from "./target.ts";

const LEVELS = ["boiler", "press", "secret", "a", "", "é", "things", "$SYS", "x".repeat(60)];
const AFFORDANCES = ["temperature", "mode", "limits", "pin", "none", "__proto__", "a b", "温度"];

/** Topic names, valid by the rules of MQTT. */
function topicName(dice: Dice): string {
  const thing = dice.pick(["boiler", "boiler", "press", "none", "secret"]);
  const account = dice.pick(["site", "site", "site", "other", "quiet", "nobody"]);
  switch (dice.below(10)) {
    case 0:
    case 1:
    case 2:
      return `set/${account}/things/${thing}/properties/${dice.pick(AFFORDANCES)}`;
    case 3:
      return `set/${account}/things/${thing}/properties`;
    case 4:
      return `set/${account}/things/${thing}/actions/${dice.pick(["purge", "reset", "none"])}`;
    case 5:
      return `set/${account}/things/${thing}/events/${dice.pick(["alarm", "boot", "none"])}`;
    case 6:
      return `set/${account}/things/${thing}`;
    case 7:
      return `${account}/data/${thing}`;
    case 8:
      return `line/${dice.below(6)}${dice.chance(0.2) ? "/deep/er" : ""}`;
    default:
      return oddLevels(dice).join("/") || "/";
  }
}

function oddLevels(dice: Dice): string[] {
  return Array.from({ length: 1 + dice.below(16) }, () => dice.pick(LEVELS));
}

function topicFilter(dice: Dice): string {
  switch (dice.below(8)) {
    case 0:
      return "#";
    case 1:
      return `status/${dice.pick(["site", "other"])}/things/${dice.pick(["+", "boiler"])}/#`;
    case 2:
      return "status/site/things/boiler/properties/+";
    case 3:
      return dice.pick(["line/#", "line/+", "line/1", "+/+", "/#", "$share/g/line/#"]);
    case 4:
      return topicName(dice).replace("set/", "status/");
    case 5:
      return "site/data/boiler";
    default:
      return [...oddLevels(dice).map((level) => (dice.chance(0.3) ? "+" : level)), "#"].join("/");
  }
}

/** A payload that would do for the topic, or nearly. */
function payload(dice: Dice, topic: string): Buffer {
  const name = topic.slice(topic.lastIndexOf("/") + 1);
  const action = { input: { seconds: 3 }, ...(dice.chance(0.2) ? { timeout: 1 } : {}) };
  const report = { href: `/site/things/boiler/actions/purge/${dice.below(9)}`, status: "running" };
  const bodies: readonly unknown[] = [
    { [name]: dice.pick([20.5, "on", { low: 1, high: 2 }, "abc", [1, 2]]) },
    { temperature: dice.below(100), mode: "auto" },
    { [name]: dice.chance(0.5) ? action : report },
    { [name]: { data: "hot" } },
    { title: "again", properties: { extra: { type: "number" } } },
  ];
  return dice.chance(0.05)
    ? Buffer.alloc(dice.below(6_000), dice.below(256))
    : mutatedJson(dice, dice.pick(bodies));
}

const anyQos = (dice: Dice): Qos => dice.pick([0, 1, 2] as const);
/** Few, so that they meet. */
const packetId = (dice: Dice): number => (dice.chance(0.05) ? 0xffff : 1 + dice.below(12));

/** A CONNECT that is accepted, unless the client id is another credential's. */
export function connectPacket(dice: Dice, login: Login, id: string): Buffer {
  const topic = dice.chance(0.5) ? `line/${dice.below(6)}` : topicName(dice);
  const will = {
    topic,
    payload: payload(dice, topic),
    qos: anyQos(dice),
    retain: dice.chance(0.3),
  };
  return connect({
    ...login,
    id,
    clean: dice.chance(0.5),
    keepalive: dice.pick([0, 0, 60, 0xffff]),
    will: dice.chance(0.2) ? will : undefined,
  });
}

/** One packet a connected client may send. */
export function legalPacket(dice: Dice): Buffer {
  switch (dice.below(16)) {
    case 0:
    case 1:
      return subscribe(
        packetId(dice),
        Array.from({ length: 1 + dice.below(4) }, () => [topicFilter(dice), anyQos(dice)] as const),
      );
    case 2:
      return unsubscribe(packetId(dice), [topicFilter(dice), topicFilter(dice)]);
    case 3:
      return puback(packetId(dice));
    case 4:
      return pubrec(packetId(dice));
    case 5:
    case 6:
      return pubrel(packetId(dice));
    case 7:
      return pubcomp(packetId(dice));
    case 8:
      return PINGREQ;
    case 9:
      return dice.chance(0.1) ? DISCONNECT : PINGREQ;
    default: {
      const topic = topicName(dice);
      const qos = anyQos(dice);
      const dup = qos > 0 && dice.chance(0.2);
      const flags = { qos, id: packetId(dice), dup, retain: dice.chance(0.3) };
      return publish(topic, payload(dice, topic), flags);
    }
  }
}

/** The bytes with a few of them wrong. */
export function mutatedBytes(dice: Dice, bytes: Buffer): Buffer {
  let result = Buffer.from(bytes);
  for (let left = 1 + dice.below(3); left > 0; left -= 1) {
    const at = dice.below(result.length + 1);
    const end = Math.min(result.length, at + 1 + dice.below(8));
    switch (dice.below(8)) {
      case 0: // A bit.
        if (at < result.length) result[at] = (result[at] ?? 0) ^ (1 << dice.below(8));
        break;
      case 1: // A byte that means something.
        if (at < result.length) result[at] = dice.pick([0, 1, 0x7f, 0x80, 0xff, 0x23, 0x2b, 0x2f]);
        break;
      case 2: // Bytes left out.
        result = Buffer.concat([result.subarray(0, at), result.subarray(end)]);
        break;
      case 3: // Bytes twice.
        result = Buffer.concat([result.subarray(0, end), result.subarray(at)]);
        break;
      case 4: // Bytes too many.
        result = Buffer.concat([result.subarray(0, at), noise(dice, 8), result.subarray(at)]);
        break;
      case 5: // Cut short.
        result = result.subarray(0, at);
        break;
      case 6: // Another type or other flags.
        if (result.length > 0) result[0] = dice.below(256);
        break;
      default: // A length that is not its own.
        if (result.length > 1) result[1] = dice.below(256);
    }
  }
  return result;
}

export function noise(dice: Dice, lengthMax: number): Buffer {
  return Buffer.from(Array.from({ length: dice.below(lengthMax + 1) }, () => dice.below(256)));
}
