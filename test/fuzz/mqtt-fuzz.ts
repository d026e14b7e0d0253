import type { Dice } from "../crash/dice.ts";
import { connect, PINGREQ } from "../conformance/wire.ts";
import { Attacker } from "./attacker.ts";
import { Bystander } from "./bystander.ts";
import { connectPacket, legalPacket, mutatedBytes, noise } from "./mqtt-packets.ts";
import { runRounds, type FuzzReport, type FuzzRun } from "./rounds.ts";
import type { Target } from "./target.ts";

const DEADLINE_MS = 10_000;
const PACKET_BYTES_MAX = 4_096;

/** Whose clients attack, and what each may be sent at the most. */
const READABLE = {
  device: /^(status\/site\/things\/boiler(\/|$)|site\/data\/boiler$)/,
  consumer: /^status\/site\/things\/[^/]+\/(properties|actions|events|errors)/,
  free: /^line(\/|$)/,
  other: /^(status\/other\/things\/|other\/data\/)/,
} as const;
type Side = keyof typeof READABLE;
const SIDES: readonly Side[] = ["device", "consumer", "free", "other"];

/**
 * Rounds of several connections that talk nonsense, near-sense and sense at once, in pieces of any
 * size. After each the bystander must work, nothing may have been thrown, and those that broke no
 * rule must have had every answer in order.
 * @throws what went wrong, with the seed and the round.
 */
export async function fuzzMqtt(run: FuzzRun): Promise<FuzzReport> {
  return runRounds("mqtt", run, async (target) => {
    const bystander = await Bystander.connect(target);
    const answers: Record<string, number> = {};
    return {
      answers,
      round: async (dice, number) => {
        for (const kind of await attackOnce(target, dice, number)) {
          answers[kind] = (answers[kind] ?? 0) + 1;
        }
      },
      check: async () => bystander.check(),
      end: async () => {
        await onlyOneIsLeft(target);
        await bystander.close();
      },
    };
  });
}

type Part = {
  readonly attacker: Attacker;
  readonly chunks: Buffer[];
  /** Every answer that is due, by kind; `undefined`: it breaks rules, so that nothing is. */
  readonly due: readonly string[] | undefined;
};

/** @returns the kind of each packet that was received. */
async function attackOnce(target: Target, dice: Dice, number: number): Promise<readonly string[]> {
  const parts: Part[] = [];
  for (let at = dice.below(4); at >= 0; at -= 1) {
    const isLegal = dice.chance(0.4);
    parts.push(await (isLegal ? lawful(target, dice, number, at) : lawless(target, dice)));
  }
  await play(dice, parts);
  for (const { attacker } of parts) attacker.finish();
  for (const { attacker, due } of parts) {
    if (due !== undefined && attacker.connackCode !== 3) await requireAnswers(attacker, due);
    await attacker.close();
  }
  const wrongs = parts.flatMap(({ attacker }) => attacker.wrongs);
  if (wrongs.length > 0) throw new Error(wrongs.join("\n"));
  const received = parts.flatMap(({ attacker }) => attacker.received);
  return received.map((text) => text.split(" ", 1)[0] ?? "");
}

/** A client that breaks no rule, whatever it publishes. */
async function lawful(target: Target, dice: Dice, number: number, at: number): Promise<Part> {
  const side = dice.pick(SIDES);
  const attacker = await Attacker.open({
    port: target.mqttPort,
    mayGet: READABLE[side],
    acknowledges: true,
  });
  const isSteady = dice.chance(0.3);
  // Nobody else has these ids: whoever takes one over would rightly end this connection.
  const id = isSteady ? `steady-${side}-${at}` : `lawful-${number}-${at}`;
  const packets = [connect({ ...target.logins[side], id, clean: !isSteady })];
  for (let left = dice.below(25); left > 0; left -= 1) {
    const packet = legalPacket(dice);
    const isPublish = (packet.readUInt8(0) & 0xf0) === 0x30;
    const isLast = packet.readUInt8(0) === 0xe0;
    if (!isLast && (isPublish || packet.length <= PACKET_BYTES_MAX)) packets.push(packet);
  }
  packets.push(PINGREQ);
  return {
    attacker,
    chunks: inPieces(dice, Buffer.concat(packets)),
    due: packets.flatMap(answerTo),
  };
}

/** What the gateway answers to a packet of a client, as `kind id`. */
function answerTo(packet: Buffer): readonly string[] {
  const first = packet.readUInt8(0);
  const body = packet.readUInt8(1) < 0x80 ? 2 : 3;
  const id = packet.length > body + 1 ? packet.readUInt16BE(body) : 0;
  switch (first >> 4) {
    case 3: {
      const qos = (first >> 1) & 3;
      if (qos === 0) return [];
      const idAt = body + 2 + id; // The first field is the length of the topic.
      return [`${qos === 1 ? "puback" : "pubrec"} ${packet.readUInt16BE(idAt)}`];
    }
    case 6:
      return [`pubcomp ${id}`];
    case 8:
      return [`suback ${id}`];
    case 10:
      return [`unsuback ${id}`];
    case 12:
      return ["pingresp"];
    default:
      return [];
  }
}

/** Anything: sense at first, or not; legal packets, damaged ones and noise. */
async function lawless(target: Target, dice: Dice): Promise<Part> {
  const side = dice.pick(SIDES);
  const attacker = await Attacker.open({
    port: target.mqttPort,
    mayGet: READABLE[side],
    acknowledges: dice.chance(0.5),
  });
  const id = `${side}-${dice.below(3)}`;
  const hello = connectPacket(dice, target.logins[side], id);
  const packets = [dice.chance(0.15) ? mutatedBytes(dice, hello) : hello];
  const mutation = dice.pick([0, 0.05, 0.5]);
  for (let left = dice.below(40); left > 0; left -= 1) {
    if (dice.chance(0.02)) packets.push(noise(dice, 200));
    if (dice.chance(0.01)) packets.push(hello);
    const packet = legalPacket(dice);
    packets.push(dice.chance(mutation) ? mutatedBytes(dice, packet) : packet);
  }
  if (dice.chance(0.15)) attacker.freeze();
  return { attacker, chunks: inPieces(dice, Buffer.concat(packets)), due: undefined };
}

function inPieces(dice: Dice, bytes: Buffer): Buffer[] {
  const sizeMax = dice.pick([1, 7, 100, 2_000, bytes.length]);
  // A byte at a time takes a turn each: only the beginning is sent so.
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = at < 300 ? 1 + dice.below(sizeMax) : bytes.length;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

/** Sends the pieces of all, interleaved; some connections end in between. */
async function play(dice: Dice, parts: readonly Part[]): Promise<void> {
  for (;;) {
    const unfinished = parts.filter(({ chunks }) => chunks.length > 0);
    if (unfinished.length === 0) return;
    const { attacker, chunks, due } = dice.pick(unfinished);
    attacker.write(chunks.shift() ?? Buffer.alloc(0));
    if (due === undefined && dice.chance(0.005)) await attacker.close();
    if (dice.chance(0.3)) await new Promise((resolve) => setImmediate(resolve));
  }
}

async function requireAnswers(attacker: Attacker, due: readonly string[]): Promise<void> {
  const answers = (): readonly string[] =>
    attacker.received.filter((text) => !/^(connack|publish|pubrel)/.test(text));
  const isDone = await attacker.until(() => answers().length >= due.length, DEADLINE_MS);
  if (!isDone) throw new Error(`no answer in ${DEADLINE_MS} ms: ${missing(due, answers())}`);
  if (attacker.isClosed) throw new Error(`closed though lawful: ${missing(due, answers())}`);
  // PINGRESP is written by another part, and may overtake.
  for (const kind of [/^pingresp/, /^(?!pingresp)/]) {
    const [had, wanted] = [answers(), due].map((list) => list.filter((text) => kind.test(text)));
    if (had?.join() !== wanted?.join()) throw new Error(`answers: ${missing(due, answers())}`);
  }
}

const missing = (due: readonly string[], had: readonly string[]): string =>
  `${due.length} due (${due.join(", ")}), ${had.length} came (${had.join(", ")})`;

/** Only the bystander is connected: no connection is left over in the gateway. */
async function onlyOneIsLeft(target: Target): Promise<void> {
  const end = performance.now() + DEADLINE_MS;
  for (;;) {
    const { text } = await target.call("GET", "/gateway");
    const { broker } = JSON.parse(text) as { broker: { connections: number } };
    if (broker.connections === 1) return;
    if (performance.now() > end) throw new Error(`${broker.connections} connections are left`);
  }
}
