import { terminalQr } from "../qr.ts";
import { requireDone, type DaemonAnswer } from "./daemon-socket.ts";
import { CLI_EXIT, CliError } from "./exit.ts";
import type { Cli, Line, Verb } from "./verb.ts";

/** `sluice claim`: how the box can be claimed, for who is at it. */
export const claimVerb: Verb = {
  usage: `sluice claim [--show | --qr | --reset] [--json]

  --show    the claim code, and where to type it (the default)
  --qr      the same as a QR code: a phone that reads it opens the page with the code filled in
  --reset   make another code, because somebody has seen this one`,
  flags: ["show", "qr", "reset"],
  run,
};

async function run({ flags, words }: Line, cli: Cli): Promise<void> {
  const modes = ["show", "qr", "reset"].filter((mode) => flags.has(mode));
  if (words.length > 0 || modes.length > 1) {
    throw new CliError(CLI_EXIT.usage, "claim takes one of --show, --qr and --reset");
  }
  const state = flags.has("reset")
    ? await reset(cli)
    : requireDone(await cli.ask("GET", "/gateway/claim"));
  if (flags.has("json")) {
    cli.print(JSON.stringify(state));
    return;
  }
  const code = state["code"];
  if (typeof code !== "string") {
    throw new CliError(CLI_EXIT.refused, "the gateway has been claimed: there is no claim code");
  }
  for (const line of linesOf(state, code, flags.has("qr"))) cli.print(line);
}

async function reset({ ask }: Cli): Promise<DaemonAnswer["body"]> {
  const answer = await ask("POST", "/gateway/claim/code");
  if (answer.body["code"] === "claimed") {
    throw new CliError(
      CLI_EXIT.refused,
      "the gateway has been claimed, and nothing was changed. If a password is lost: sluice user " +
        "password NAME. For another owner begin with an empty store",
    );
  }
  return requireDone(answer);
}

function linesOf(state: DaemonAnswer["body"], code: string, isQr: boolean): readonly string[] {
  const urls = Array.isArray(state["urls"]) ? state["urls"].map(String) : [];
  const lines = [`claim code: ${code}`];
  const [first] = urls;
  if (isQr && first !== undefined) lines.push("", terminalQr(`${first}#${code}`), "");
  lines.push(...urls.map((url) => `claim at:   ${url}`));
  const fingerprint = state["ca_sha256"];
  if (typeof fingerprint === "string") lines.push(`CA SHA-256: ${fingerprint}`);
  return lines;
}
