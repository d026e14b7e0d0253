import { authoriseInGateway } from "../interactions/authorise.ts";
import type { Answer, AuthorisedCall, Call, Route } from "./call.ts";

export const gatewayRoutes: readonly Route[] = [
  { method: "GET", path: "/gateway", scopes: ["gateway.read"], answer: getGateway },
  {
    method: "GET",
    path: "/healthz",
    scopes: "none",
    isStatic: true,
    whileUnclaimed: true,
    answer: getHealth,
  },
  {
    method: "GET",
    path: "/readyz",
    scopes: "none",
    isStatic: true,
    whileUnclaimed: true,
    answer: getReadiness,
  },
];

function getGateway(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.read");
  const { name, version, describeGateway } = call.deps;
  return { status: 200, body: { name, version, ...describeGateway() } };
}

/** The process lives and takes turns. */
function getHealth(): Answer {
  return { status: 200, body: { status: "ok" } };
}

/** It can do what it is for. Being cut off from upstream is not among that. */
function getReadiness({ deps }: Call): Answer {
  return deps.isReady()
    ? { status: 200, body: { status: "ready" } }
    : { status: 503, body: { status: "not ready" } };
}
