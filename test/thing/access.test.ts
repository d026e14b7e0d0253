import { test } from "tap";
import * as access from "../../src/thing/access.ts";
import type { Thing } from "../../src/thing/thing.ts";

const thing: Thing = {
  number: 1,
  uid: "01A",
  account: "site",
  id: "boiler",
  description: {},
  created: 1,
  modified: 1,
  revision: 1,
  properties: new Map(),
  actions: new Map(),
  events: new Map(),
};
const other: Thing = { ...thing, number: 2, uid: "01B", id: "pump" };

const ABILITIES: readonly access.Ability[] = [
  "thing.read",
  "thing.write",
  "thing.report",
  "thing.define",
  "thing.manage",
  "data.read",
  "data.write",
];

function token(account: string | undefined, ...scopes: access.Scope[]): access.Principal {
  return { kind: "token", name: "token", account, scopes: new Set(scopes) };
}

function credential(...grants: access.Grant[]): access.Principal {
  return { kind: "credential", name: "credential", id: "01C", account: "site", grants };
}

const ONE: access.GrantedThings = { all: false, uids: new Set(["01A"]) };
const ALL: access.GrantedThings = { all: true };
const on = (
  things: access.GrantedThings,
  role: "device" | "consumer" = "device",
  definition = false,
): access.Grant => ({ entity: "things", things, role, definition });

/** What the principal may do, as a set that reads as a sentence. */
function abilities(principal: access.Principal, account: string, on: Thing | undefined): string {
  return ABILITIES.filter((ability) => access.mayOnThing(principal, account, on, ability)).join(
    " ",
  );
}

const DEVICE = "thing.read thing.write thing.report";
const CONSUMER = "thing.read thing.write";

const ROWS: readonly (readonly [
  who: string,
  access.Principal,
  mine: string,
  others: string,
  none: string,
])[] = [
  ["a device", credential(on(ONE)), DEVICE, "", ""],
  ["a consumer", credential(on(ONE, "consumer")), CONSUMER, "", ""],
  ["a definer", credential(on(ONE, "consumer", true)), `${CONSUMER} thing.define`, "", ""],
  ["a device of all", credential(on(ALL)), DEVICE, DEVICE, DEVICE],
  ["a grant on data", credential({ entity: "data", things: ONE }), "data.read data.write", "", ""],
  ["free topics", credential({ entity: "topics", patterns: [{ pub: "#", sub: "#" }] }), "", "", ""],
  ["no grant", credential(), "", "", ""],
  [
    "several grants",
    credential(on(ONE, "consumer"), { entity: "data", things: ALL }),
    `${CONSUMER} data.read data.write`,
    "data.read data.write",
    "data.read data.write",
  ],
  ["thing.read", token("site", "thing.read"), "thing.read", "thing.read", "thing.read"],
  [
    "thing.manage",
    token("site", "thing.manage"),
    "thing.define thing.manage",
    "thing.define thing.manage",
    "thing.define thing.manage",
  ],
  ["mqtt.credentials", token("site", "mqtt.credentials", "gateway.manage"), "", "", ""],
  ["a token of the box", token(undefined, "data.write"), "data.write", "data.write", "data.write"],
];
for (const [who, principal, mine, others, none] of ROWS) {
  await test(`${who} may do exactly what the contract gives it`, (t) => {
    t.equal(abilities(principal, "site", thing), mine);
    t.equal(abilities(principal, "site", other), others);
    t.equal(abilities(principal, "site", undefined), none, "of a Thing that is yet to be made");
    const elsewhere = principal.account === undefined ? mine : "";
    t.equal(abilities(principal, "b", { ...thing, account: "b" }), elsewhere);
    t.end();
  });
}

await test("what is of an account, and of the box, only tokens may", (t) => {
  const { mayInAccount, mayInGateway, isOfAccount } = access;
  const inAccount = token("site", "thing.manage", "gateway.manage");
  const inBox = token(undefined, "thing.manage", "gateway.manage");
  t.equal(mayInAccount(inAccount, "site", "thing.manage"), true);
  t.equal(mayInAccount(inAccount, "site", "thing.read"), false);
  t.equal(mayInAccount(inAccount, "b", "thing.manage"), false);
  t.equal(mayInAccount(inBox, "b", "thing.manage"), true);
  t.equal(mayInAccount(credential(on(ALL)), "site", "thing.read"), false);
  t.equal(mayInGateway(inAccount, "gateway.manage"), false, "an account has no say over the box");
  t.equal(mayInGateway(inBox, "gateway.manage"), true);
  t.equal(mayInGateway(inBox, "gateway.read"), false);
  t.equal(mayInGateway(credential(on(ALL)), "gateway.manage"), false);
  t.equal(isOfAccount(inAccount, "b"), false);
  t.equal(isOfAccount(inBox, "b"), true);
  t.end();
});

await test("a refusal is told on a Thing only to who has something to do with it", (t) => {
  const { touchesThing } = access;
  t.equal(touchesThing(credential(on(ONE, "consumer")), thing), true);
  t.equal(touchesThing(credential({ entity: "data", things: ONE }), thing), true);
  t.equal(touchesThing(credential(on(ONE)), other), false);
  t.equal(touchesThing(credential(on(ALL)), other), true);
  t.equal(touchesThing(credential(on(ALL)), { ...thing, account: "b" }), false);
  t.equal(touchesThing(credential({ entity: "topics", patterns: [] }), thing), false);
  t.equal(touchesThing(token("site"), thing), true);
  t.equal(touchesThing(token("b", "thing.read"), thing), false);
  t.end();
});
