import { z } from "zod";
import { GatewayError } from "../errors.ts";
import { claimPage } from "./claim-page/page.ts";
import { jsonBody, parseBody } from "./body.ts";
import type { JsonObject } from "../thing/json.ts";
import { LOCAL_ADMIN } from "./authentication.ts";
import type { Answer, Call, Route } from "./call.ts";
import { requireSecure } from "./secure-channel.ts";

const PATH = "/gateway/claim";

export const claimRoutes: readonly Route[] = [
  { method: "GET", path: PATH, scopes: "none", whileUnclaimed: true, answer: getClaim },
  {
    method: "POST",
    path: PATH,
    audit: "gateway.claim",
    scopes: "none",
    whileUnclaimed: true,
    answer: postClaim,
  },
  {
    method: "POST",
    path: `${PATH}/code`,
    audit: "gateway.claim-code",
    scopes: "none",
    whileUnclaimed: true,
    answer: renewCode,
  },
  {
    method: "GET",
    path: "/ui/claim",
    scopes: "none",
    whileUnclaimed: true,
    isStatic: true,
    answer: getClaimPage,
  },
];

/** For who is at the box: how it can be claimed. */
function getClaim(call: Call): Answer {
  requireLocal(call);
  return { status: 200, body: render(call) };
}

const wanted = z.strictObject({
  code: z.string("must be a string"),
  password: z.string("must be a string"),
  user: z.string("must be a string").exactOptional(),
  account: z.string("must be a string").exactOptional(),
});

async function postClaim(call: Call): Promise<Answer> {
  requireSecure(call);
  const { code, ...request } = parseBody(wanted, await jsonBody(call));
  // Who may open the socket may read the code there: he guesses none.
  const address = call.channel.kind === "local" ? undefined : call.address;
  const { user, account } = await call.deps.claim.claim(code, request, address);
  return {
    status: 201,
    headers: { Location: `/gateway/users/${user}` },
    body: { user, account },
    audit: { principal: `user ${user}` },
  };
}

/** For who is at the box, where somebody may have seen the code. */
function renewCode(call: Call): Answer {
  requireLocal(call);
  call.deps.claim.renew();
  return { status: 200, body: render(call), audit: { principal: LOCAL_ADMIN.name } };
}

function render({ deps }: Call): JsonObject {
  const { claim } = deps;
  const { urls, caSha256 } = deps.claimPlaces();
  return {
    claimed: claim.isClaimed,
    code: claim.code ?? null,
    urls: claim.isClaimed ? [] : urls,
    ca_sha256: caSha256 ?? null,
  };
}

function getClaimPage({ deps }: Call): Answer {
  const { isClaimed, account } = deps.claim;
  const { caSha256 } = deps.claimPlaces();
  const { html, policy } = claimPage({ isClaimed, account, caSha256 });
  return {
    status: 200,
    mediaType: "text/html; charset=utf-8",
    headers: { "Content-Security-Policy": policy },
    text: html,
  };
}

function requireLocal({ channel, deps }: Call): void {
  if (channel.kind === "local") return;
  if (!deps.claim.isClaimed) throw new GatewayError("unclaimed", "the gateway is unclaimed");
  throw new GatewayError("forbidden", "this is only for the command line at the box");
}
