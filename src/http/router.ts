import { strict as assert } from "node:assert";
import Router from "@koa/router";
import type Koa from "koa";
import type { Route } from "./call.ts";
import type { Params } from "./incoming.ts";

/** What takes a request once its route is known. */
export type Take = (context: Koa.Context & Params, route: Route) => Promise<void>;

/**
 * Koa middleware that gives each request to its route; one that has none goes on to the next
 * middleware.
 *
 * A router tries every path it knows for every request, so there is one for each number of segments:
 * as `:name` is one segment, a path has as many as the pattern that matches it.
 */
export function routing(routes: readonly Route[], take: Take): ReturnType<Router["routes"]> {
  const routers = new Map<number, Router>();
  for (const path of new Set(routes.map((route) => route.path))) {
    const count = segmentsOf(path);
    const router = routers.get(count) ?? new Router({ sensitive: true, strict: true });
    routers.set(count, router);
    const ofPath = routes.filter((route) => route.path === path);
    registerPath(router, path, ofPath, take);
  }
  const middleware = new Map(Array.from(routers, ([count, router]) => [count, router.routes()]));
  return async (context, next) => {
    const routed = middleware.get(segmentsOf(context.path));
    await (routed === undefined ? next() : routed(context, next));
  };
}

/** One layer for all methods of the path. */
function registerPath(router: Router, path: string, routes: readonly Route[], take: Take): void {
  const byMethod = new Map<string, Route>(routes.map((route) => [route.method, route]));
  assert(byMethod.size === routes.length, `${path} has one route for each method`);
  router.register(path, [...byMethod.keys()], async (context: Koa.Context & Params) => {
    const route = byMethod.get(context.method === "HEAD" ? "GET" : context.method);
    assert(route !== undefined, "the router knows the methods of the path");
    await take(context, route);
  });
}

function segmentsOf(path: string): number {
  let count = 0;
  for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1)) count += 1;
  return count;
}

/** The methods that the path of the request has; none: there is no such path. */
export function methodsOfPath(context: Koa.Context): readonly string[] {
  const layers: unknown = context["matched"];
  return Array.isArray(layers) ? layers.flatMap(methodsOf) : [];
}

function methodsOf(layer: unknown): readonly string[] {
  if (typeof layer !== "object" || layer === null || !("methods" in layer)) return [];
  const { methods } = layer;
  return Array.isArray(methods) ? methods.filter((method) => typeof method === "string") : [];
}
