import type { Group } from "./group.ts";

const NOT_YET = { because: "not yet: there is no uplink" };

export const outbox: Group = {
  name: "outbox",
  measure: async () =>
    Promise.resolve({ findings: { head: NOT_YET, drain: NOT_YET }, details: [] }),
};
