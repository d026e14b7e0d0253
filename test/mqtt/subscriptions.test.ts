import { test } from "tap";
import { principalOf } from "../../src/interactions/authentication.ts";
import type { RequestedSubscription } from "../../src/mqtt/frame-kinds.ts";
import { grantSubscriptions } from "../../src/mqtt/subscriptions.ts";
import { topicLevels } from "../../src/thing/topics.ts";
import { makeCredential, openEdge, topicsGrant, type Edge } from "./edge.ts";

function ask(...filters: readonly (readonly [string, 0 | 1 | 2])[]): RequestedSubscription[] {
  return filters.map(([filter, qos]) => ({ filter, levels: topicLevels(filter), qos }));
}

function askAs(edge: Edge, filters: readonly RequestedSubscription[], refused: string[] = []) {
  const credential =
    edge.deps.store.credentials.byUsername("u") ??
    makeCredential(edge, "u", [topicsGrant("", "line1/#")]);
  const session =
    edge.sessions.get("client") ?? edge.sessions.open("client", credential.ulid, true);
  const deps = { interactions: edge.deps, refusedFilters: new Set(refused) };
  const principal = principalOf(credential);
  return { session, ...grantSubscriptions(deps, { principal, session, filters }) };
}

await test("each filter has its code, in the order they were asked for", async (t) => {
  const edge = await openEdge(t);
  const asked = ask(["line1/a", 2], ["line2/a", 1], ["line1/b", 0], ["line1/c", 1]);
  const { codes, granted } = askAs(edge, asked, ["line1/c"]);
  t.same(codes, [2, 0x80, 0, 0x80]);
  t.same(
    granted.map(({ filter, qos }) => [filter, qos]),
    [
      ["line1/a", 2],
      ["line1/b", 0],
    ],
  );
});

await test("of equal filters each has its code and the last counts", async (t) => {
  const edge = await openEdge(t);
  const { codes, granted } = askAs(edge, ask(["line1/a", 2], ["line1/b", 1], ["line1/a", 0]));
  t.same(codes, [2, 1, 0]);
  t.same(
    granted.map(({ filter, qos }) => [filter, qos]),
    [
      ["line1/b", 1],
      ["line1/a", 0],
    ],
  );
});

await test("beyond limits.subscriptions_per_session a new filter is refused, a known one is not", async (t) => {
  const edge = await openEdge(t, { subscriptions_per_session: 2 });
  const first = askAs(edge, ask(["line1/a", 1], ["line1/b", 1], ["line1/c", 1]));
  t.same(first.codes, [1, 1, 0x80]);
  edge.sessions.subscribe(first.session, first.granted);
  t.same(askAs(edge, ask(["line1/c", 1], ["line1/a", 2])).codes, [0x80, 2]);
  edge.sessions.unsubscribe(first.session, ["line1/a"]);
  t.same(askAs(edge, ask(["line1/c", 1])).codes, [1]);
});

await test("a filter of more levels than limits.topic_levels is refused", async (t) => {
  const edge = await openEdge(t, { topic_levels: 8 });
  const deep = (levels: number) => `line1${"/x".repeat(levels - 1)}`;
  t.same(askAs(edge, ask([deep(8), 1], [deep(9), 1])).codes, [1, 0x80]);
});
