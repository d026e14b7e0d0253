import { FIXED_LIMITS } from "../limits.ts";
import type { Outbox } from "../store/outbox.ts";
import type { Store } from "../store/store.ts";
import type { UplinkSettings } from "../uplink-settings.ts";
import type { LineSettings } from "./line-connect.ts";
import type { UpMessage } from "./message.ts";

type ChoiceDeps = {
  readonly interactions: { readonly store: Pick<Store, "gatewayId"> };
  readonly outbox: Pick<Outbox, "uplink">;
  readonly settings: UplinkSettings;
};

type Choice = {
  readonly will: UpMessage | undefined;
  readonly stallMs: number;
  /** What upstream's broker has not, as it said when it refused us. */
  readonly lacks: ReadonlySet<"retain" | "qos">;
};

/** What the settings of an uplink mean for its next line. */
export function lineSettingsOf(deps: ChoiceDeps, { will, stallMs, lacks }: Choice): LineSettings {
  const { settings } = deps;
  const { url, protocol, session_expiry_s: sessionExpiryS } = settings;
  return {
    ...routeOf(settings),
    url,
    protocol,
    sessionExpiryS,
    stallMs,
    clientId: clientIdOf(deps),
    keepaliveS: FIXED_LIMITS.uplinkKeepaliveS,
    ...(will === undefined
      ? {}
      : {
          will: {
            topic: will.topic,
            payload: will.payload,
            retain: will.retain && !lacks.has("retain"),
            qos: lacks.has("qos") ? 0 : 1,
          },
        }),
  };
}

/** For a try beside the line: under another client id, and nothing of it stays. */
export function testSettingsOf(deps: ChoiceDeps): LineSettings {
  const choice = { will: undefined, stallMs: FIXED_LIMITS.uplinkStallMs, lacks: new Set<never>() };
  const settings = lineSettingsOf(deps, choice);
  return { ...settings, clientId: `${settings.clientId}-test`, clean: true };
}

function clientIdOf({ interactions, outbox, settings }: ChoiceDeps): string {
  return settings.client_id ?? `sluice-${interactions.store.gatewayId}-${outbox.uplink.name}`;
}

const ROUTE = ["username", "password", "ca", "cert", "key", "servername", "alpn", "proxy"] as const;

/** Members that are there, as they are. */
function routeOf(settings: UplinkSettings): Pick<UplinkSettings, (typeof ROUTE)[number]> {
  return Object.fromEntries(
    ROUTE.flatMap((name) => (settings[name] === undefined ? [] : [[name, settings[name]]])),
  );
}
