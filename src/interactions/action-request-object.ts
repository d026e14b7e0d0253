import type { ActionRequest } from "../store/action-requests.ts";
import type { Store } from "../store/store.ts";
import type { JsonObject } from "../thing/json.ts";
import type { Thing } from "../thing/thing.ts";
import { formatTime } from "../thing/time.ts";

/** What is shown of a request, and so what there must be of it. */
export type ShownRequest = Pick<
  ActionRequest,
  "name" | "moment" | "status" | "input" | "output" | "error" | "completedAt"
>;

/** `{"<action>": {"input"?, "href", "timeRequested", "status", …}}`: the same over both protocols. */
export function actionRequestObject(
  store: Pick<Store, "ids">,
  thing: Pick<Thing, "account" | "id">,
  request: ShownRequest,
): JsonObject {
  const { name, status, input, output, error, moment, completedAt } = request;
  return {
    [name]: {
      ...(input === undefined ? {} : { input }),
      href: actionRequestHref(store, thing, request),
      timeRequested: formatTime(moment.at),
      ...(completedAt === undefined ? {} : { timeCompleted: formatTime(completedAt) }),
      status,
      ...(output === undefined ? {} : { output }),
      ...(error === undefined ? {} : { error }),
    },
  };
}

/** `/{account}/things/{thing}/actions/{action}/{id}`, percent-encoded where a path needs it. */
export function actionRequestHref(
  store: Pick<Store, "ids">,
  thing: Pick<Thing, "account" | "id">,
  request: Pick<ActionRequest, "name" | "moment">,
): string {
  const id = store.ids.ofMoment(request.moment);
  const action = encodeURIComponent(request.name);
  return `/${thing.account}/things/${thing.id}/actions/${action}/${id}`;
}
