import fc from "fast-check";
import { parseArgs } from "node:util";
import { test, type Test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { openTemporaryStore, type Opened } from "../store/open-store.ts";
import { Chain, PROPERTIES, type Link } from "./chain.ts";

/** What can happen next; the numbers choose where and how much. */
type Step =
  | { readonly do: "set"; readonly node: number; readonly name: number; readonly value: number }
  | { readonly do: "both"; readonly node: number; readonly value: number }
  | { readonly do: Move; readonly link: number }
  | { readonly do: "cut" | "restart"; readonly link: number; readonly arriving: number }
  | { readonly do: "wait"; readonly ms: number };

type Move = "open" | "send" | "arrive" | "acknowledge" | "deliver" | "release" | "collapse";

const place = fc.nat({ max: 2 });
const value = fc.nat({ max: 2 });
const move = fc.constantFrom<Move>(
  ...(["open", "send", "arrive", "acknowledge", "deliver", "release", "collapse"] as const),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("set"), node: place, name: value, value }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("both"), node: place, value }) },
  { weight: 20, arbitrary: fc.record({ do: move, link: place }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("cut" as const, "restart" as const),
      link: place,
      arriving: place,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wait"), ms: fc.nat({ max: 15_000 }) }) },
);

async function take(chain: Chain, opened: Opened, next: Step): Promise<void> {
  switch (next.do) {
    case "set": {
      const name = PROPERTIES[next.name % PROPERTIES.length] ?? "p";
      chain.set(chain.node(next.node % chain.nodes.length), { [name]: next.value });
      return;
    }
    case "both":
      chain.set(chain.node(next.node % chain.nodes.length), { p: next.value, q: next.value });
      return;
    case "wait":
      opened.clock.advance(next.ms);
      return;
    case "cut":
      linkOf(chain, next.link).cut(next.arriving);
      return;
    case "restart":
      await linkOf(chain, next.link).restart(next.arriving);
      return;
    case "open":
    case "send":
    case "arrive":
    case "acknowledge":
    case "deliver":
    case "release":
    case "collapse":
      await linkOf(chain, next.link)[next.do]();
  }
}

function linkOf(chain: Chain, index: number): Link {
  const link = chain.links[index % chain.links.length];
  if (link === undefined) throw new Error("a chain has links");
  return link;
}

/** Far more than any of these runs needs: an echo that goes round never ends. */
const ROUNDS_MAX = 2_000;

/** The lines stay; everything that is under way arrives. @throws if it never ends. */
async function settle(chain: Chain, opened: Opened): Promise<void> {
  for (const link of chain.links) link.open();
  let quiet = 0;
  for (let round = 0; quiet < 2; round += 1) {
    if (round > ROUNDS_MAX) throw new Error("it goes round and round");
    let moved = false;
    for (const link of chain.links) {
      for (const moving of ["send", "arrive", "acknowledge", "deliver", "release"] as const) {
        moved = (await link[moving]()) || moved;
      }
    }
    if (moved) {
      quiet = 0;
      continue;
    }
    // Echoes that will not come are waited for once.
    opened.clock.advance(FIXED_LIMITS.uplinkEchoMsMax + 2_000);
    await chain.deps.store.commit.flushed();
    quiet += 1;
  }
}

const { values: options } = parseArgs({
  options: { runs: { type: "string", default: "120" }, seed: { type: "string" } },
});

type Run = {
  readonly gateways: number;
  /** Each value is set once, and no echo comes late: then each is told from the others exactly. */
  readonly isExact: boolean;
};

async function converges(t: Test, { gateways, isExact }: Run): Promise<void> {
  const opened = await openTemporaryStore(t);
  const count = { chains: 0, values: 0 };
  const adapted = (next: Step): Step => {
    if (!isExact) return next;
    if (next.do === "wait") return { do: "open", link: 0 };
    return "value" in next ? { ...next, value: (count.values += 1) } : next;
  };
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 1, maxLength: 120, size: "max" }),
    async (steps) => {
      count.chains += 1;
      const chain = new Chain(opened, count.chains, gateways);
      try {
        for (const link of chain.links) await link.start();
        for (const link of chain.links) link.open();
        for (const next of steps) await take(chain, opened, adapted(next));
        await settle(chain, opened);
        checkEnd(chain);
        if (isExact) checkExact(chain);
      } finally {
        for (const link of chain.links) link.close();
      }
    },
  );
  const { seed } = options;
  const details = await fc.check(property, {
    numRuns: Number(options.runs),
    ...(seed === undefined ? {} : { seed: Number(seed) }),
  });
  t.comment(`seed ${details.seed}, ${details.numRuns} runs`);
  if (details.failed) throw new Error(fc.defaultReportMessage(details));
}

function checkEnd(chain: Chain): void {
  const [first, ...others] = chain.nodes.map((node) => JSON.stringify(chain.valuesOf(node)));
  if (others.some((other) => other !== first)) {
    throw new Error(`apart: ${[first, ...others].join(" ")}`);
  }
  for (const { awaited, lost } of chain.links) {
    if (awaited + lost > 0) throw new Error("something is awaited for ever");
  }
}

function checkExact(chain: Chain): void {
  const stale = chain.links.flatMap((link) => link.stale);
  if (stale.length > 0) throw new Error(stale.join("; "));
}

await test("a gateway and the one above it end with the same values", async (t) => {
  await converges(t, { gateways: 2, isExact: false });
});

await test("two gateways in a chain below a third end with its values", async (t) => {
  await converges(t, { gateways: 3, isExact: false });
});

await test("no echo sets a value, and none that upstream had before ours", async (t) => {
  await converges(t, { gateways: 2, isExact: true });
});
