import { requireDone, type DaemonAnswer } from "./daemon-socket.ts";
import { CLI_EXIT, CliError } from "./exit.ts";
import type { Cli, Line, Verb } from "./verb.ts";

/** `sluice status`: how the gateway is. */
export const statusVerb: Verb = {
  usage: `sluice status [--json]

  --json   the answer of GET /gateway as it is`,
  flags: [],
  run,
};

async function run({ flags, words }: Line, cli: Cli): Promise<void> {
  if (words.length > 0) throw new CliError(CLI_EXIT.usage, "status takes no arguments");
  const answer = await cli.ask("GET", "/gateway");
  const isUnclaimed = answer.body["code"] === "unclaimed";
  if (flags.has("json")) {
    cli.print(JSON.stringify(isUnclaimed ? { claimed: false } : requireDone(answer)));
  } else if (isUnclaimed) {
    cli.print("unclaimed: it serves nobody until somebody claims it (sluice claim --show)");
  } else {
    for (const line of linesOf(requireDone(answer))) cli.print(line);
  }
}

function linesOf(gateway: DaemonAnswer["body"]): readonly string[] {
  const store = membersOf(gateway["store"]);
  const broker = membersOf(gateway["broker"]);
  const clock = membersOf(gateway["clock"]);
  const tls = membersOf(gateway["tls"]);
  const fingerprint = membersOf(tls["ca"])["sha256_fingerprint"];
  const listeners = Array.isArray(gateway["listeners"]) ? gateway["listeners"].map(membersOf) : [];
  const open = listeners.filter(
    ({ encrypted, loopback }) => encrypted !== true && loopback !== true,
  );
  const uplinks = Array.isArray(gateway["uplinks"]) ? gateway["uplinks"].map(membersOf) : [];
  return [
    `${wordOf(gateway["name"])} ${wordOf(gateway["version"])}, up ${durationOf(gateway["uptime_s"])}`,
    `store: ${wordOf(store["state"])}, ${wordOf(store["things"])} Things, ` +
      `${wordOf(store["sequence"])} changes`,
    ...(typeof store["reason"] === "string" ? [`  ${store["reason"]}`] : []),
    `broker: ${wordOf(broker["connections"])} connections`,
    ...(tls["source"] === "own" ? [`CA SHA-256: ${wordOf(fingerprint)}`] : []),
    ...open.map(({ protocol, host, port }) => {
      return `not encrypted, and open to the network: ${wordOf(protocol)} on ${wordOf(host)}:${wordOf(port)}`;
    }),
    ...(clock["state"] === "known"
      ? []
      : [`clock: the machine's time is ${wordOf(clock["state"])}`]),
    ...uplinks.map((uplink) => {
      const { rows } = membersOf(uplink["depth"]);
      return `uplink ${wordOf(uplink["name"])}: ${wordOf(uplink["state"])}, owes ${wordOf(rows)}`;
    }),
  ];
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function wordOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "?";
}

function durationOf(seconds: unknown): string {
  if (typeof seconds !== "number") return "?";
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${seconds} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 1) return `${minutes} min`;
  const days = Math.floor(hours / 24);
  return days < 1 ? `${hours} h ${minutes % 60} min` : `${days} d ${hours % 24} h`;
}
