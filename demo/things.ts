import type { JsonObject } from "../src/thing/json.ts";

/** The Things of the production line, by id. */
export const THINGS = {
  oven: {
    title: "Curing oven",
    properties: {
      temperature: { type: "number", minimum: 0, maximum: 300, unit: "°C", readOnly: true },
    },
    events: { overheated: { data: { type: "number" } } },
  },
  conveyor: {
    title: "Conveyor belt",
    properties: {
      speed: { type: "number", minimum: 0, maximum: 2, unit: "m/s" },
      actualSpeed: { type: "number", readOnly: true, unit: "m/s" },
    },
  },
  press: {
    title: "Stamping press",
    properties: { strokes: { type: "integer", minimum: 0, readOnly: true } },
  },
  valve: {
    title: "Cooling valve",
    properties: { position: { type: "integer", minimum: 0, maximum: 100, readOnly: true } },
    actions: {
      move: {
        input: { type: "integer", minimum: 0, maximum: 100 },
        output: { type: "integer" },
      },
    },
  },
  misfit: {
    title: "Level sensor with bad firmware",
    properties: { level: { type: "number", minimum: 0, maximum: 10, readOnly: true } },
  },
} as const satisfies Readonly<Record<string, JsonObject>>;

export type ThingName = keyof typeof THINGS;
