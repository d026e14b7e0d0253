import { requireDone } from "./daemon-socket.ts";
import { CLI_EXIT, CliError } from "./exit.ts";
import type { Cli, Line, Verb } from "./verb.ts";

const ROLES = ["admin", "installer", "viewer"];

/** `sluice user`: who may log in, and the way back for who lost his password. */
export const userVerb: Verb = {
  usage: `sluice user [list | add NAME --admin|--installer|--viewer | password NAME | remove NAME] [--json]

  list            who may log in, with their roles (the default)
  add NAME        makes a person; the password is asked for, or read from standard input
  password NAME   gives a person another password, the same way; all of that person's sessions end
  remove NAME     deletes a person; all of that person's sessions end`,
  flags: ROLES,
  run,
};

async function run(line: Line, cli: Cli): Promise<void> {
  const [word = "list", name, ...rest] = line.words;
  const isComplete = word === "list" ? name === undefined : name !== undefined;
  if (!isComplete || rest.length > 0) throw misused();
  switch (word) {
    case "list":
      await list(line, cli);
      return;
    case "add":
      await add(name ?? "", line, cli);
      return;
    case "password":
      await setPassword(name ?? "", line, cli);
      return;
    case "remove":
      requireDone(await cli.ask("DELETE", pathOf(name ?? "")));
      tell(line, cli, { name: name ?? "" }, `${name} may log in no more`);
      return;
    default:
      throw misused();
  }
}

async function list(line: Line, cli: Cli): Promise<void> {
  const { data } = requireDone(await cli.ask("GET", "/gateway/users?limit=1000"));
  const users: readonly unknown[] = Array.isArray(data) ? data : [];
  if (line.flags.has("json")) cli.print(JSON.stringify(users));
  else if (users.length === 0) cli.print("nobody: sluice user add NAME --admin");
  else
    for (const user of users)
      cli.print(`${textOf(user, "role").padEnd(10)}${textOf(user, "name")}`);
}

async function add(name: string, line: Line, cli: Cli): Promise<void> {
  const roles = ROLES.filter((role) => line.flags.has(role));
  const [role] = roles;
  if (role === undefined || roles.length > 1) throw misused();
  const password = await cli.readSecret(`Password for ${name}: `);
  const body = requireDone(
    await cli.ask("PUT", pathOf(name), { role, password }, { "If-None-Match": "*" }),
  );
  tell(line, cli, body, `${name} may log in as ${role}`);
}

async function setPassword(name: string, line: Line, cli: Cli): Promise<void> {
  const password = await cli.readSecret(`New password for ${name}: `);
  requireDone(await cli.ask("PUT", `${pathOf(name)}/password`, { password }));
  tell(line, cli, { name }, `${name} has a new password, and is logged out everywhere`);
}

function tell(line: Line, cli: Cli, body: object, text: string): void {
  cli.print(line.flags.has("json") ? JSON.stringify(body) : text);
}

function pathOf(name: string): string {
  return `/gateway/users/${encodeURIComponent(name)}`;
}

function textOf(value: unknown, member: string): string {
  const members = typeof value === "object" && value !== null ? Object.entries(value) : [];
  const found: unknown = members.find(([name]) => name === member)?.[1];
  return typeof found === "string" ? found : "?";
}

function misused(): CliError {
  return new CliError(
    CLI_EXIT.usage,
    "user takes list; add NAME with one of --admin, --installer and --viewer; password NAME; remove NAME",
  );
}
