import { test } from "tap";
import { AddressRate } from "../../src/address-rate.ts";
import type { Route } from "../../src/http/call.ts";
import { makeRoutes } from "../../src/http/routes.ts";
import { startGateway } from "./harness.ts";

await test("each path leads to its own methods, and one more slash to none", async (t) => {
  const { call } = await startGateway(t);
  const routes = makeRoutes(new AddressRate(0, { monotonicMs: () => 0 }));
  for (const [path, methods] of methodsByPath(routes)) {
    // Encoded, a slash is part of its segment.
    const sent = path.replaceAll(/:\w+/g, "a%2Fb");
    const { status, headers } = await call("OPTIONS", sent, { token: undefined });
    t.equal(status, 204, path);
    t.same(headers.get("allow")?.split(", ").toSorted(), methods.toSorted(), path);
    for (const other of [`${sent}/`, `/${sent}`]) {
      t.equal((await call("OPTIONS", other, {})).status, 404, other);
    }
  }
});

function methodsByPath(routes: readonly Route[]): ReadonlyMap<string, readonly string[]> {
  const byPath = new Map<string, readonly string[]>();
  for (const { path, method } of routes) {
    const methods = method === "GET" ? ["GET", "HEAD"] : [method];
    byPath.set(path, [...(byPath.get(path) ?? ["OPTIONS"]), ...methods]);
  }
  return byPath;
}
