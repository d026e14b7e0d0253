import { t as file, test } from "tap";
import { Client } from "./client.ts";
import { Site } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file);
await site.makeThing("boiler", BOILER);
const login = await site.makeDevice("boiler");
const device = await Client.connect(file, site, login);
const consumerLogin = await site.makeCredential([
  { entity: "things", id: ["boiler"], role: "consumer" },
]);
const consumer = await Client.connect(file, site, consumerLogin);

const PURGE = "set/A/things/boiler/actions/purge";
const STATUS = "status/A/things/boiler/actions/purge";
const ERRORS = "status/A/things/boiler/errors";
await device.subscribe(["status/A/things/boiler/actions/#", ERRORS]);
await consumer.subscribe(["status/A/things/boiler/actions/#", ERRORS]);

type Request = {
  readonly href: string;
  readonly status: string;
  readonly input?: unknown;
  readonly output?: unknown;
  readonly error?: unknown;
  readonly timeRequested: string;
  readonly timeCompleted?: string;
};

/** What the device got on the topic of the action since it last looked. */
async function requests(client: Client): Promise<readonly Request[]> {
  return (await client.takeJson())
    .filter(([topic]) => topic === STATUS)
    .map(([, value]) => (value as { purge: Request }).purge);
}

async function errorCodes(client: Client): Promise<readonly unknown[]> {
  return (await client.takeJson())
    .filter(([topic]) => topic === ERRORS)
    .map(([, value]) => (value as { code: string }).code);
}

/** A request as the device sees it; nobody has anything to read behind it. */
async function requested(input: object = { seconds: 3 }): Promise<Request> {
  await consumer.publish(PURGE, { purge: { input } });
  const [request] = await requests(device);
  await consumer.take();
  if (request === undefined) throw new Error("the device got no request");
  return request;
}

async function statusOf({ href }: Pick<Request, "href">): Promise<Request> {
  return ((await site.did("GET", href)).json as { purge: Request }).purge;
}

await test("a request reaches the device as pending, with its input and the href of its resource", async (t) => {
  await consumer.publish(PURGE, { purge: { input: { seconds: 3 } } });
  const [request, ...others] = await requests(device);
  t.same(others, []);
  t.match(request, {
    input: { seconds: 3 },
    href: /^\/A\/things\/boiler\/actions\/purge\/[0-9A-HJKMNP-TV-Z]{26}$/,
    timeRequested: /^2027-03-01T12:00:00\.\d{3}Z$/,
    status: "pending",
  });
  t.strictSame(Object.keys(request ?? {}), ["input", "href", "timeRequested", "status"]);
  t.strictSame(await requests(consumer), [request], "and whoever else subscribed");
  t.strictSame(await statusOf(request!), request, "and it is what GET shows");
});

await test("a device may request an action of its own", async (t) => {
  await device.publish("set/A/things/boiler/actions/reset", { reset: {} });
  t.match(await device.takeJson(), [
    ["status/A/things/boiler/actions/reset", { reset: { status: "pending" } }],
  ]);
  await consumer.take();
});

await test("each report is told, and the final one with output and timeCompleted", async (t) => {
  const { href } = await requested();
  site.clock.advance(1_500);
  await device.publish(PURGE, { purge: { href, status: "running" } });
  await device.publish(PURGE, { purge: { href, status: "completed", output: 7 } });
  const [running, completed] = await requests(consumer);
  t.match(running, { href, status: "running", input: { seconds: 3 } });
  t.equal(running?.timeCompleted, undefined);
  t.match(completed, { href, status: "completed", output: 7, timeCompleted: String });
  t.equal(
    Date.parse(completed?.timeCompleted ?? "") - Date.parse(completed?.timeRequested ?? ""),
    1_500,
  );
  t.match(await statusOf({ href }), { status: "completed", output: 7 });
  await device.take();
});

await test("a report is known by the last segment of href, whatever stands before it", async (t) => {
  for (const prefix of [
    "",
    "actions/purge/",
    "http://box.local/x/A/things/boiler/actions/purge/",
  ]) {
    const { href } = await requested();
    const id = href.split("/").at(-1) ?? "";
    await device.publish(PURGE, { purge: { href: prefix + id, status: "completed" } });
    t.match(await requests(device), [{ href, status: "completed" }], prefix);
  }
  await consumer.take();
});

await test("a report keyed by the id of the request is taken", async (t) => {
  const { href } = await requested();
  const id = href.split("/").at(-1) ?? "";
  await device.publish(PURGE, { [id]: { status: "running" } });
  await device.publish(PURGE, { [id]: { status: "completed", output: 1 } });
  t.match(await requests(device), [
    { href, status: "running" },
    { href, status: "completed", output: 1 },
  ]);
  await consumer.take();
});

await test("error as a status means failed, and what the device says of it is kept", async (t) => {
  const { href } = await requested();
  const error = { title: "valve stuck" };
  await device.publish(PURGE, { purge: { href, status: "error", error } });
  t.match(await requests(consumer), [{ href, status: "failed", error, timeCompleted: String }]);
  t.match(await statusOf({ href }), { status: "failed", error });
  await device.take();
});

await test("a device may send back what it was sent with its report", async (t) => {
  const request = await requested();
  await device.publish(PURGE, { purge: { ...request, status: "running" } });
  t.match(await requests(device), [{ status: "running" }]);
  await consumer.take();
});

for (const status of ["received", "running"] as const) {
  await test(`a request that is ${status} is not final`, async (t) => {
    const { href } = await requested();
    await device.publish(PURGE, { purge: { href, status } });
    await device.publish(PURGE, { purge: { href, status: "completed" } });
    t.same(
      (await requests(device)).map((request) => request.status),
      [status, "completed"],
    );
    await consumer.take();
  });
}

for (const status of ["completed", "failed", "cancelled"] as const) {
  await test(`a request that is ${status} takes no further report`, async (t) => {
    const { href } = await requested();
    await device.publish(PURGE, { purge: { href, status } });
    await device.take();
    await device.publish(PURGE, { purge: { href, status: "running" } });
    t.same(await errorCodes(device), ["action-finished"]);
    t.match(await statusOf({ href }), { status });
    await consumer.take();
  });
}

const UNKNOWN_ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const REFUSED: readonly (readonly [what: string, payload: unknown, code: string])[] = [
  [
    "a report on an unknown request",
    { href: `/x/${UNKNOWN_ID}`, status: "running" },
    "unknown-action-request",
  ],
  ["a report whose href is no id", { href: "purge", status: "running" }, "unknown-action-request"],
  ["a report whose href is no text", { href: 5, status: "running" }, "malformed"],
  ["a status without href", { status: "running" }, "malformed"],
  ["a report without a status", { href: `/x/${UNKNOWN_ID}` }, "unknown-action-request"],
  ["a request with an unknown member", { inputs: {} }, "unknown-member"],
  ["a request whose input does not match", { input: { seconds: "3" } }, "schema-violation"],
  ["a request without its input", {}, "schema-violation"],
  ["a request that is no object", 5, "malformed"],
  ["a timeout that is no number of seconds", { input: {}, timeout: "1h" }, "malformed"],
];

for (const [what, payload, code] of REFUSED) {
  await test(`${what} is refused with ${code}, and the next good request works`, async (t) => {
    await device.publish(PURGE, { purge: payload });
    t.same(await errorCodes(device), [code]);
    await consumer.take();
    t.match(await requested(), { status: "pending" });
  });
}

await test("a report on a known request with an unknown status is refused", async (t) => {
  const { href } = await requested();
  for (const status of ["pending", "expired", "done", 5, null]) {
    await device.publish(PURGE, { purge: { href, status } });
    t.same(await errorCodes(device), ["malformed"], String(status));
  }
  t.match(await statusOf({ href }), { status: "pending" });
  await consumer.take();
});

await test("an output that does not match is refused and changes nothing", async (t) => {
  const { href } = await requested();
  await device.publish(PURGE, { purge: { href, status: "completed", output: "seven" } });
  t.same(await errorCodes(device), ["schema-violation"]);
  t.match(await statusOf({ href }), { status: "pending" });
  await consumer.take();
});

await test("an action the Thing has not is refused", async (t) => {
  await consumer.publish("set/A/things/boiler/actions/explode", { explode: {} });
  t.same(await errorCodes(consumer), ["unknown-affordance"]);
  await device.take();
});

await test("a consumer may request and not report", async (t) => {
  const { href } = await requested();
  await consumer.publish(PURGE, { purge: { href, status: "completed" } });
  t.same(await errorCodes(consumer), ["forbidden"]);
  t.match(await statusOf({ href }), { status: "pending" });
  await device.take();
});

await test("action status is never retained", async (t) => {
  await requested();
  const later = await Client.connect(t, site, login);
  t.same(await later.subscribe([STATUS, "status/A/things/boiler/actions/#"]), [1, 1]);
  t.same(await later.take(), []);
});

await test("a request past its timeout is told as expired, and takes no report", async (t) => {
  await consumer.publish(PURGE, { purge: { input: {}, timeout: 30 } });
  const [request] = await requests(device);
  const href = request?.href ?? "";
  site.clock.advance(29_000);
  t.same(await requests(device), []);
  site.clock.advance(1_500);
  const expired = (await requests(device)).filter((each) => each.href === href);
  t.match(expired, [{ href, status: "expired", timeCompleted: String }]);
  await device.publish(PURGE, { purge: { href, status: "completed" } });
  t.same(await errorCodes(device), ["action-finished"]);
  await consumer.take();
});

await test("a request cancelled over HTTP is told as cancelled", async (t) => {
  const { href } = await requested();
  t.equal((await site.did("DELETE", href)).status, 204);
  t.match(await requests(device), [{ href, status: "cancelled" }]);
  await consumer.take();
});
