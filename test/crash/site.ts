import type { Http } from "./http.ts";
import type { Login } from "./mqtt-client.ts";
import { ACCOUNT } from "./wire.ts";

/** The Things of the site under test, all of one description. */
export const THINGS = ["boiler", "press", "mixer", "meter", "valve"] as const;
export type ThingName = (typeof THINGS)[number];

const integer = { type: "integer" };
export const DESCRIPTION = {
  title: "crash test",
  properties: { a: integer, b: integer, level: integer, shared: integer },
  events: { alarm: { data: integer } },
  actions: { open: { input: integer, output: integer } },
};

/** Free topics of one QoS each: order holds per topic and QoS [MQTT-4.6.0-6]. */
export const FREE_TREE = "line1";
export const freeTopic = (qos: 1 | 2, place: number): string => `${FREE_TREE}/qos${qos}/${place}`;

/** Who connects by MQTT and what its credential names. */
const CLIENTS = {
  boiler: resources("boiler"),
  press: resources("press"),
  mixer: resources("mixer", "meter"),
  valve: resources("valve"),
  free: [{ entity: "topics", patterns: [{ pub: `${FREE_TREE}/#`, sub: `${FREE_TREE}/#` }] }],
  watcher: resources("*"),
  freeWatcher: [{ entity: "topics", patterns: [{ sub: `${FREE_TREE}/#` }] }],
  probe: [
    ...resources("*"),
    { entity: "topics", patterns: [{ pub: `${FREE_TREE}-probe`, sub: `${FREE_TREE}/#` }] },
    { entity: "topics", patterns: [{ sub: `${FREE_TREE}-probe` }] },
  ],
} as const;
export type ClientName = keyof typeof CLIENTS;
export type Logins = Readonly<Record<ClientName, Login>>;

function resources(...id: readonly string[]) {
  return [
    { entity: "things", id },
    { entity: "data", id },
  ];
}

/** Makes the Things and a credential for each client. */
export async function provision(http: Http, mqttPort: number): Promise<Logins> {
  for (const thing of THINGS) {
    await made(http("PUT", `/${ACCOUNT}/things/${thing}`, DESCRIPTION));
  }
  const logins: [string, Login][] = [];
  for (const [clientId, granted] of Object.entries(CLIENTS)) {
    const body = await made(http("POST", `/${ACCOUNT}/mqtt`, { resources: granted }));
    const { username, password } = body as { username: string; password: string };
    logins.push([clientId, { port: mqttPort, clientId, username, password }]);
  }
  return Object.fromEntries(logins) as Logins;
}

async function made(answer: ReturnType<Http>): Promise<unknown> {
  const { status, body } = await answer;
  if (status !== 201) throw new Error(`the site could not be set up: ${JSON.stringify(body)}`);
  return body;
}
