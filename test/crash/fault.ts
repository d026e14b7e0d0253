/** What a checker may find. `docs/testing.md` says what each means. */
export const RULES = [
  "whole",
  "no-hole",
  "mark",
  "index",
  "state",
  "things",
  "requests",
  "sessions",
  "acknowledged",
  "as-sent",
  "once",
  "order",
  "last",
  "existence",
  "delivered",
  "shown",
  "answers",
] as const;
export type Rule = (typeof RULES)[number];

export type Fault = { readonly rule: Rule; readonly detail: string };
