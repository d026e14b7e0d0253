// What stands in the gateway that is attacked: an account with Things of every kind of affordance,
// an account that must not be reached from it, and one whose client only looks on.

const BOILER = {
  title: "Boiler",
  "@type": ["TemperatureSensor"],
  properties: {
    temperature: { type: "number", minimum: -50, maximum: 150 },
    target: { type: "integer", "sluice:coerce": true },
    mode: { type: "string", enum: ["on", "off", "auto"] },
    label: { type: "string", maxLength: 40, pattern: "^[a-z ]*$" },
    limits: {
      type: "object",
      properties: { low: { type: "number" }, high: { type: "number" } },
      required: ["low"],
    },
    curve: { type: "array", items: { type: "number" }, maxItems: 8 },
    serial: { type: "string", readOnly: true },
    pin: { type: "string", writeOnly: true },
    anything: {},
  },
  actions: { purge: { input: { type: "object" }, output: { type: "integer" } }, reset: {} },
  events: { alarm: { data: { type: "string" } }, boot: {} },
} as const;

const ofThings = (...id: readonly string[]) => [
  { entity: "things", id, definition: true },
  { entity: "data", id },
];

export const SITE = {
  account: "site",
  things: { boiler: BOILER, press: BOILER },
  device: ofThings("boiler"),
  consumer: [{ entity: "things", id: ["*"], role: "consumer" }],
  free: [{ entity: "topics", patterns: [{ pub: "line/#", sub: "line/#" }] }],
} as const;

export const OTHER = {
  account: "other",
  things: { boiler: BOILER, secret: BOILER },
  device: ofThings("*"),
} as const;

export const PROBE = {
  account: "quiet",
  things: { probe: { title: "Probe", properties: { beat: { type: "integer" } } } },
  device: ofThings("probe"),
} as const;
