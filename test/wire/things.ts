/** A Thing with an affordance of each kind, and names that real devices have. */
export const BOILER = {
  title: "Boiler",
  properties: {
    temperature: { type: "number", maximum: 120, readOnly: true },
    target: { type: "number", minimum: 0, maximum: 90 },
    mode: { type: "string", enum: ["on", "off", "auto"] },
    pin: { type: "string", writeOnly: true },
    schedule: { type: "object", properties: { at: { type: "string" } }, required: ["at"] },
    loose: { type: "number", "sluice:coerce": true },
    anything: {},
    "Fan-status": { type: "boolean" },
    "content.humidity": { type: "number" },
    "a name with spaces": { type: "integer" },
    "🔥": { type: "integer" },
  },
  actions: {
    purge: {
      input: { type: "object", properties: { seconds: { type: "integer" } } },
      output: { type: "integer" },
    },
    reset: {},
  },
  events: { alarm: { data: { type: "string" } }, boot: {} },
} as const;
