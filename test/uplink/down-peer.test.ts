import { test, type Test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { openTemporaryStore } from "../store/open-store.ts";
import { Chain, type Link, type Node } from "./chain.ts";

type Pair = {
  readonly chain: Chain;
  readonly below: Node;
  readonly above: Node;
  readonly link: Link;
  readonly p: () => unknown;
  /** Longer than an echo is waited for. */
  readonly wait: () => void;
};

async function openPair(t: Test): Promise<Pair> {
  const opened = await openTemporaryStore(t);
  const chain = new Chain(opened, 1, 2);
  const [link] = chain.links;
  if (link === undefined) throw new Error("two gateways have a link");
  await link.start();
  link.open();
  t.teardown(() => link.close());
  const [below, above] = [chain.node(0), chain.node(1)];
  const p = (): unknown => chain.valuesOf(below)["p"];
  const wait = (): void => opened.clock.advance(FIXED_LIMITS.uplinkEchoMsMax + 2_000);
  return { chain, below, above, link, p, wait };
}

/** Goes up, and its acknowledgement comes. */
function carry(link: Link): void {
  link.send();
  link.arrive();
  link.acknowledge();
}

/** A value that is awaited twice, because it was sent twice, and comes back once. */
function carryInTwo({ chain, below, link }: Pair, value: number): void {
  chain.set(below, { p: value });
  link.send();
  link.cut(0);
  link.open();
  carry(link);
  link.deliver();
}

await test("a value that lost wins when the echo does not come", async (t) => {
  const pair = await openPair(t);
  carryInTwo(pair, 1);
  pair.chain.set(pair.above, { p: 5 });
  pair.link.deliver();
  t.equal(pair.p(), 1, "it lost");
  pair.wait();
  t.equal(pair.p(), 5);
});

await test("a value that lost is known after a crash, for it was acknowledged", async (t) => {
  const pair = await openPair(t);
  carryInTwo(pair, 1);
  pair.chain.set(pair.above, { p: 5 });
  pair.link.deliver();
  t.equal(await pair.link.release(), true);
  await pair.link.restart(0);
  pair.link.open();
  t.equal(pair.p(), 1);
  pair.wait();
  t.equal(pair.p(), 5);
});

await test("a value that lost does not come back over a newer one", async (t) => {
  const pair = await openPair(t);
  carryInTwo(pair, 1);
  pair.chain.set(pair.above, { p: 5 });
  pair.link.deliver();
  pair.chain.set(pair.below, { p: 7 });
  carry(pair.link);
  pair.wait();
  t.equal(pair.p(), 7);
  t.equal(pair.link.lost, 0);
});

await test("an echo is awaited over a crash", async (t) => {
  const pair = await openPair(t);
  pair.chain.set(pair.below, { p: 1 });
  carry(pair.link);
  pair.chain.set(pair.below, { p: 2 });
  carry(pair.link);
  await pair.link.restart(0);
  pair.link.open();
  pair.link.deliver();
  t.equal(pair.p(), 2, "1 was ours");
  pair.link.deliver();
  t.equal(pair.p(), 2);
  pair.wait();
  t.equal(pair.link.awaited, 0);
});

await test("a crash forgets the echoes that have come", async (t) => {
  const pair = await openPair(t);
  pair.chain.set(pair.below, { p: 1 });
  carry(pair.link);
  pair.link.deliver();
  await pair.link.release();
  pair.wait();
  await pair.link.restart(0);
  pair.link.open();
  pair.chain.set(pair.above, { p: 9 });
  pair.link.deliver();
  t.equal(pair.p(), 9);
});

await test("a value that is set once more upstream is set once more here", async (t) => {
  const pair = await openPair(t);
  const { chain, above, below, link } = pair;
  const sequence = () => chain.statesOf(below).get("p")?.sequence;
  chain.set(above, { p: 3 });
  link.deliver();
  const first = sequence();
  chain.set(above, { p: 3 });
  link.deliver();
  t.not(sequence(), first);
  // The acknowledgement of the last one is lost: it comes again.
  const second = sequence();
  link.cut(0);
  link.open();
  link.deliver();
  link.deliver();
  t.equal(sequence(), second);
});
