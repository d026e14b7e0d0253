import { accountRoutes } from "./accounts.ts";
import { actionRoutes } from "./actions.ts";
import { auditRoutes } from "./audit.ts";
import { caRoutes } from "./ca.ts";
import type { Route } from "./call.ts";
import { certificateRoutes } from "./certificates.ts";
import { claimRoutes } from "./claim.ts";
import { clientRoutes } from "./clients.ts";
import { credentialRoutes } from "./credentials.ts";
import { dataRoutes } from "./data.ts";
import { estRoutes } from "./est.ts";
import { eventRoutes } from "./events.ts";
import { gatewayRoutes } from "./gateway.ts";
import type { AddressRate } from "../address-rate.ts";
import { joinRoutes } from "./join.ts";
import { joiningRoutes } from "./joining.ts";
import { makeOauthRoutes } from "./oauth2.ts";
import { problemRoutes } from "./problems.ts";
import { propertyRoutes } from "./properties.ts";
import { propertyHistoryRoutes } from "./properties-history.ts";
import { refusalRoutes } from "./refusals.ts";
import { thingRoutes } from "./things.ts";
import { tokenRoutes } from "./tokens.ts";
import { makeSessionRoutes } from "./sessions.ts";
import { userRoutes } from "./users.ts";
import { uplinkRoutes } from "./uplinks.ts";

/** Every route there is, those of values first. `docs/http-api.md` has a row for each (tested). */
export function makeRoutes(failures: AddressRate): readonly Route[] {
  return [
    ...propertyRoutes,
    ...actionRoutes,
    ...eventRoutes,
    ...dataRoutes,
    ...propertyHistoryRoutes,
    ...thingRoutes,
    ...credentialRoutes,
    ...certificateRoutes,
    ...estRoutes,
    ...clientRoutes,
    ...accountRoutes,
    ...tokenRoutes,
    ...uplinkRoutes,
    ...joiningRoutes,
    ...joinRoutes,
    ...makeOauthRoutes(failures),
    ...makeSessionRoutes(failures),
    ...userRoutes,
    ...claimRoutes,
    ...gatewayRoutes,
    ...auditRoutes,
    ...refusalRoutes,
    ...caRoutes,
    ...problemRoutes,
  ];
}
