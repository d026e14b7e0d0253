import { test } from "tap";
import { actionRequestHref } from "../../src/interactions/action-request-object.ts";
import * as actions from "../../src/interactions/action-invocation.ts";
import type { ActionRequest } from "../../src/store/action-requests.ts";
import type { Principal } from "../../src/thing/access.ts";
import type { Json } from "../../src/thing/json.ts";
import { formatTime } from "../../src/thing/time.ts";
import * as setup from "./harness.ts";

const { ACCOUNT, ADMIN } = setup;
const on = { principal: ADMIN, account: ACCOUNT, thing: "boiler", name: "heat" };
const GOOD_INPUT = { input: { until: 60 } };
const TOPIC = "status/site/things/boiler/actions/heat";

function request(harness: setup.Harness, body: Json = GOOD_INPUT, name = "heat"): ActionRequest {
  return actions.requestAction(harness.deps, { ...on, name, body }).request;
}

function idOf(harness: setup.Harness, { moment }: ActionRequest): string {
  return harness.deps.store.ids.ofMoment(moment);
}

function report(harness: setup.Harness, about: ActionRequest, body: Json): ActionRequest {
  const id = idOf(harness, about);
  return actions.reportAction(harness.deps, { ...on, name: about.name, id, body }).request;
}

function find(harness: setup.Harness, { name, moment }: ActionRequest): ActionRequest | undefined {
  return harness.deps.store.requests.get(1, name, moment);
}

await test("a request is told as pending, each report as what it says, the last with its time", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const { clock } = harness;
  const made = request(harness);
  const href = `/site/things/boiler/actions/heat/${idOf(harness, made)}`;
  t.equal(actionRequestHref(harness.deps.store, thing, made), href);
  const same = { input: { until: 60 }, href, timeRequested: formatTime(clock.wall) };
  t.match(harness.published[0], {
    about: "action",
    request: { name: "heat", moment: made.moment },
  });
  t.strictSame(setup.takePublished(harness), [[TOPIC, { heat: { ...same, status: "pending" } }]]);
  clock.advance(1_500);
  report(harness, made, { href, status: "running" });
  t.equal(harness.published[0]?.request, undefined, "only a pending one is a request");
  t.strictSame(setup.takePublished(harness), [[TOPIC, { heat: { ...same, status: "running" } }]]);
  clock.advance(1_500);
  const done = report(harness, made, { status: "completed", output: "warm" });
  const timeCompleted = formatTime(clock.wall);
  const completed = { ...same, timeCompleted, status: "completed", output: "warm" };
  t.strictSame(setup.takePublished(harness), [[TOPIC, { heat: completed }]]);
  t.ok(done.revision > made.revision);
  t.equal(harness.deps.store.requests.countUnfinishedOf(1), 0);
  await harness.restart();
  t.strictSame(find(harness, made), done);
  const found = actions.findActionRequest(harness.deps, { ...on, id: idOf(harness, made) });
  t.strictSame(found.request, done);
});

await test("the log says of each change what it was", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  const { store } = harness.deps;
  const first = store.changes.nextSequence;
  const made = request(harness);
  report(harness, made, { status: "error", error: { code: 5 } });
  t.equal(store.changes.sequence, first + 1);
  t.equal(made.revision, first);
  t.equal(find(harness, made)?.revision, first + 1);
  await store.commit.flushed();
  const rows = [...(await harness.rows("c:a"))].map(([, row]) => JSON.parse(row) as unknown);
  const same = { thing: 1, name: "heat", request: first, requestedAt: made.moment.at };
  t.match(rows, [
    { ...same, status: "pending", input: { until: 60 } },
    { ...same, status: "failed", error: { code: 5 } },
  ]);
});

const STATUSES: readonly (readonly [given: Json, becomes: string])[] = [
  ["received", "received"],
  ["running", "running"],
  ["completed", "completed"],
  ["failed", "failed"],
  ["error", "failed"],
  ["cancelled", "cancelled"],
];
for (const [given, becomes] of STATUSES) {
  await test(`a device that reports ${JSON.stringify(given)} makes the request ${becomes}`, async (t) => {
    const harness = await setup.startHarness(t);
    setup.makeBoiler(harness);
    const made = request(harness, {}, "stop");
    t.equal(report(harness, made, { status: given }).status, becomes);
    const isFinal = becomes !== "received" && becomes !== "running";
    t.equal(find(harness, made)?.completedAt !== undefined, isFinal);
    t.equal(harness.deps.store.requests.countUnfinishedOf(1), isFinal ? 0 : 1);
    if (!isFinal) return;
    for (const status of ["running", "completed"]) {
      const refusal = setup.refusalOf(() => report(harness, made, { status }));
      t.equal(refusal.code, "action-finished");
    }
    t.equal(find(harness, made)?.status, becomes);
  });
}

const BAD_REPORTS: readonly (readonly [
  why: string,
  body: Json,
  code: string,
  pointers: readonly string[],
])[] = [
  ["no object", "completed", "malformed", []],
  ["no status", {}, "malformed", ["/heat/status"]],
  ["an unknown status", { status: "done" }, "malformed", ["/heat/status"]],
  ["a status only the gateway sets", { status: "expired" }, "malformed", ["/heat/status"]],
  ["pending", { status: "pending" }, "malformed", ["/heat/status"]],
  ["a status that is no text", { status: ["completed"] }, "malformed", ["/heat/status"]],
  ["an unknown member", { status: "completed", progress: 5 }, "unknown-member", ["/heat/progress"]],
  ["a wrong output", { status: "completed", output: 5 }, "schema-violation", ["/heat/output"]],
];
for (const [why, body, code, pointers] of BAD_REPORTS) {
  await test(`a report with ${why} is refused as ${code} and changes nothing`, async (t) => {
    const harness = await setup.startHarness(t);
    setup.makeBoiler(harness);
    const made = request(harness);
    harness.published.length = 0;
    const refusal = setup.refusalOf(() => report(harness, made, body));
    t.equal(refusal.code, code);
    t.same(refusal.pointers, pointers);
    t.strictSame(find(harness, made), made);
    t.same(harness.published, []);
    t.equal(report(harness, made, { status: "completed" }).status, "completed");
  });
}

const BAD_REQUESTS: readonly (readonly [
  why: string,
  body: Json,
  code: string,
  pointers: readonly string[],
])[] = [
  ["no object", 5, "malformed", []],
  ["no input where one is asked for", {}, "schema-violation", ["/heat/input"]],
  ["a wrong input", { input: { until: "x" } }, "schema-violation", ["/heat/input/until"]],
  ["an unknown member", { ...GOOD_INPUT, status: "running" }, "unknown-member", ["/heat/status"]],
  ["a timeout of zero", { ...GOOD_INPUT, timeout: 0 }, "malformed", ["/heat/timeout"]],
  ["a timeout below zero", { ...GOOD_INPUT, timeout: -5 }, "malformed", ["/heat/timeout"]],
  ["a timeout in a string", { ...GOOD_INPUT, timeout: "5" }, "malformed", ["/heat/timeout"]],
  ["a timeout of null", { ...GOOD_INPUT, timeout: null }, "malformed", ["/heat/timeout"]],
];
for (const [why, body, code, pointers] of BAD_REQUESTS) {
  await test(`a request with ${why} is refused as ${code} and makes nothing`, async (t) => {
    const harness = await setup.startHarness(t);
    setup.makeBoiler(harness);
    const refusal = setup.refusalOf(() => request(harness, body));
    t.equal(refusal.code, code);
    t.same(refusal.pointers, pointers);
    t.equal(harness.deps.store.requests.countUnfinishedOf(1), 0);
    t.same(harness.published, []);
    t.equal(request(harness).status, "pending");
  });
}

await test("an id that is no request of this action is unknown, whatever else it is", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const { store } = harness.deps;
  const stop = request(harness, {}, "stop");
  const ids = [
    idOf(harness, stop),
    store.ids.ofMoment({ at: 1, sequence: 1 }),
    store.ids.ofMoment({ at: 2 ** 48 - 1, sequence: 1 }),
    store.ids.next(),
    thing.uid,
    "",
    "../x",
    "__proto__",
  ];
  for (const id of ids) {
    const body = { status: "completed" };
    const refusals = [
      setup.refusalOf(() => actions.reportAction(harness.deps, { ...on, id, body })),
      setup.refusalOf(() => actions.findActionRequest(harness.deps, { ...on, id })),
      setup.refusalOf(() => actions.cancelAction(harness.deps, { ...on, id })),
    ];
    for (const { code } of refusals) t.equal(code, "unknown-action-request", id);
  }
  const none = setup.refusalOf(() => request(harness, {}, "valueOf"));
  t.equal(none.code, "unknown-affordance");
});

await test("a pending request can be cancelled, a running one not, a finished one removed", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  const cancel = (about: ActionRequest) =>
    actions.cancelAction(harness.deps, { ...on, name: about.name, id: idOf(harness, about) });
  const pending = request(harness, {}, "stop");
  cancel(pending);
  t.equal(find(harness, pending)?.status, "cancelled", "still readable");
  t.match(setup.takePublished(harness).at(-1)?.[1], { stop: { status: "cancelled" } });
  t.equal(cancel(pending), "removed");
  t.equal(find(harness, pending), undefined);
  for (const status of ["received", "running"]) {
    const running = request(harness, {}, "stop");
    report(harness, running, { status });
    t.equal(setup.refusalOf(() => cancel(running)).code, "action-running");
    t.equal(find(harness, running)?.status, status);
  }
});

await test("a Thing has a bound on requests that have not finished", async (t) => {
  const harness = await setup.startHarness(t, { limits: { pending_actions_per_thing: 2 } });
  setup.makeBoiler(harness);
  setup.makeBoiler(harness, { ...setup.BOILER, id: "other" });
  const first = request(harness);
  request(harness, {}, "stop");
  t.equal(setup.refusalOf(() => request(harness)).code, "limit-reached");
  const other = actions.requestAction(harness.deps, { ...on, thing: "other", body: GOOD_INPUT });
  t.equal(other.request.status, "pending", "another Thing has its own");
  report(harness, first, { status: "completed" });
  t.equal(request(harness).status, "pending");
});

await test("who may request, report and read is as the contract says", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const other = setup.makeBoiler(harness, { id: "other" });
  const made = request(harness);
  const id = idOf(harness, made);
  const codeOf = (call: () => unknown): string => {
    try {
      call();
      return "done";
    } catch {
      return setup.refusalOf(call).code;
    }
  };
  const { tokenOf } = setup;
  type Row = readonly [string, Principal, request: string, report: string, read: string];
  const rows: readonly Row[] = [
    ["a device", setup.deviceOf(thing), "done", "done", "done"],
    ["a consumer", setup.consumerOf(thing), "done", "forbidden", "done"],
    ["a device elsewhere", setup.deviceOf(other), "forbidden", "forbidden", "forbidden"],
    ["thing.write", tokenOf(ACCOUNT, "thing.write"), "done", "forbidden", "forbidden"],
    ["thing.report", tokenOf(ACCOUNT, "thing.report"), "forbidden", "done", "forbidden"],
    ["thing.read", tokenOf(ACCOUNT, "thing.read"), "forbidden", "forbidden", "done"],
    [
      "another account",
      tokenOf("b", "thing.write", "thing.report"),
      "forbidden",
      "forbidden",
      "forbidden",
    ],
  ];
  for (const [who, principal, toRequest, toReport, toRead] of rows) {
    const as = { ...on, principal };
    const { deps } = harness;
    t.equal(
      codeOf(() => actions.requestAction(deps, { ...as, body: GOOD_INPUT })),
      toRequest,
      who,
    );
    const body = { status: "running" };
    t.equal(
      codeOf(() => actions.reportAction(deps, { ...as, id, body })),
      toReport,
      who,
    );
    t.equal(
      codeOf(() => actions.findActionRequest(deps, { ...as, id })),
      toRead,
      who,
    );
  }
});

await test("an action with an odd name has a path that can be followed", async (t) => {
  const harness = await setup.startHarness(t);
  const name = 'a~b "💡"?';
  const thing = setup.makeBoiler(harness, { id: "boiler", actions: { [name]: {} } });
  const made = request(harness, { input: 5 }, name);
  const href = actionRequestHref(harness.deps.store, thing, made);
  t.equal(decodeURIComponent(new URL(href, "http://x").pathname.split("/")[5] ?? ""), name);
  t.match(setup.takePublished(harness)[0]?.[1], { [name]: { input: 5, href } });
  const refusal = setup.refusalOf(() => request(harness, { x: 1 }, name));
  t.same(refusal.pointers, ['/a~0b "💡"?/x']);
});

await test("ending a request from within tells it once, and never one that has finished", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  const made = request(harness);
  harness.published.length = 0;
  const error = { code: "queue-full" };
  actions.endRequest(harness.deps, made, { status: "failed", error });
  actions.endRequest(harness.deps, made, { status: "expired" });
  t.match(setup.takePublished(harness), [[TOPIC, { heat: { status: "failed", error } }]]);
  t.equal(find(harness, made)?.status, "failed");
});
