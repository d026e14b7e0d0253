import { authoriseInAccount } from "../interactions/authorise.ts";
import type { Store } from "../store/store.ts";
import { isJsonArray, type Json } from "../thing/json.ts";
import { renderThingDescription } from "../thing/thing-description.ts";
import type { Thing } from "../thing/thing.ts";
import { onAccount, type Answer, type AuthorisedCall } from "./call.ts";
import { listAnswer, PAGE_PARAMETERS, pageOf, readPageRequest } from "./lists.ts";
import { invalidParameter, single, type Query } from "./query.ts";

export const THING_LIST_PARAMETERS = [
  ...PAGE_PARAMETERS,
  "title",
  "@type",
  "sort",
  "property:*",
] as const;

/** GET of the Things of an account: filtered, sorted, a page at a time. */
export function listThings(call: AuthorisedCall): Answer {
  const { store } = call.deps;
  const on = onAccount(call);
  authoriseInAccount(call.deps, on.principal, on.account, "thing.read");
  const request = readPageRequest(call.query);
  const filters = readFilters(store, call.query);
  const compare = readSort(single(call.query, "sort"));
  const things = [...store.things.ofAccount(on.account)]
    .filter((thing) => filters.every((isWanted) => isWanted(thing)))
    .sort(compare);
  const cursor = request.cursor === undefined ? undefined : store.things.byUid(request.cursor.id);
  if (request.cursor !== undefined && cursor?.account !== on.account) {
    throw invalidParameter(
      `${request.cursor.to}_cursor`,
      "is not the uid of a Thing that is there",
    );
  }
  const page = pageOf(
    things,
    request,
    ({ uid }) => uid,
    (thing) => (cursor === undefined ? 0 : compare(thing, cursor)),
  );
  return listAnswer(call, page, renderThingDescription);
}

type Filter = (thing: Thing) => boolean;

/** A Thing has to pass all of them. */
function readFilters(store: Pick<Store, "properties">, query: Query): readonly Filter[] {
  const title = single(query, "title");
  const type = single(query, "@type");
  const values = [...query.keys()]
    .filter((name) => name.startsWith("property:"))
    .flatMap((name) => {
      const conditions = query.get(name) ?? [];
      return conditions.map((text) => propertyFilter(store, name.slice("property:".length), text));
    });
  return [
    ...(title === undefined ? [] : [(thing: Thing) => thing.description["title"] === title]),
    ...(type === undefined ? [] : [(thing: Thing) => hasType(thing, type)]),
    ...values,
  ];
}

function hasType({ description }: Thing, type: string): boolean {
  const types = description["@type"];
  return isJsonArray(types) ? types.includes(type) : types === type;
}

const OPERATORS = ["eq", "neq", "gt", "gte", "lt", "lte", "contains"] as const;
type Operator = (typeof OPERATORS)[number];

/** `<op>:<value>`; what begins with no operator is a value to be equal to. */
function propertyFilter(store: Pick<Store, "properties">, name: string, condition: string): Filter {
  const colon = condition.indexOf(":");
  const operator = OPERATORS.find((candidate) => candidate === condition.slice(0, colon));
  const text = operator === undefined ? condition : condition.slice(colon + 1);
  return (thing) => {
    const affordance = thing.properties.get(name);
    if (affordance === undefined || affordance.writeOnly) return false;
    const state = store.properties.get(thing.number, name);
    return state !== undefined && isMet(operator ?? "eq", state.value, text);
  };
}

/** Numbers compare as numbers, texts by their code units; other values are only equal or not. */
function isMet(operator: Operator, value: Json, text: string): boolean {
  if (operator === "contains") {
    if (typeof value === "string") return value.includes(text);
    return isJsonArray(value) && value.some((item) => isMet("eq", item, text));
  }
  const order = orderOf(value, text);
  switch (operator) {
    case "eq":
      return order === 0;
    case "neq":
      return order !== 0;
    case "gt":
      return order !== undefined && order > 0;
    case "gte":
      return order !== undefined && order >= 0;
    case "lt":
      return order !== undefined && order < 0;
    case "lte":
      return order !== undefined && order <= 0;
  }
}

/** `undefined`: neither equal nor in an order. */
function orderOf(value: Json, text: string): number | undefined {
  if (typeof value === "string") return value < text ? -1 : value > text ? 1 : 0;
  if (typeof value !== "number") return JSON.stringify(value) === text ? 0 : undefined;
  const number = text.trim() === "" ? NaN : Number(text);
  return Number.isNaN(number) ? undefined : value - number;
}

type Compare = (a: Thing, b: Thing) => number;

const SORT_KEYS: Readonly<Record<string, (thing: Thing) => string | number>> = {
  title: ({ description: { title } }) => (typeof title === "string" ? title : ""),
  created: ({ created }) => created,
  modified: ({ modified }) => modified,
  id: ({ id }) => id,
  uid: ({ uid }) => uid,
};

/** `+title,-created`; Things that are equal in all of it come in the order of their uids. */
function readSort(text: string | undefined): Compare {
  const keys = (text ?? "uid").split(",").map((given) => {
    const [, sign, name = ""] = /^([+\- ]?)(.*)$/s.exec(given) ?? [];
    const keyOf = Object.hasOwn(SORT_KEYS, name) ? SORT_KEYS[name] : undefined;
    if (keyOf === undefined) {
      const known = Object.keys(SORT_KEYS).join(", ");
      throw invalidParameter("sort", `knows ${known}, each with + or - before it`);
    }
    return { keyOf, direction: sign === "-" ? -1 : 1 };
  });
  return (a, b) => {
    for (const { keyOf, direction } of keys) {
      const [left, right] = [keyOf(a), keyOf(b)];
      if (left !== right) return left < right ? -direction : direction;
    }
    return a.uid < b.uid ? -1 : a.uid === b.uid ? 0 : 1;
  };
}
