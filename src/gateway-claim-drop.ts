import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { deleteDurably, writeDurably } from "./durable-file.ts";
import type { ClaimRequest } from "./interactions/claim.ts";
import type { Log } from "./log.ts";

/** What a factory left for the first start: a JSON object with `password` and maybe `user`, `account`. */
export type Drop =
  | { readonly kind: "absent" }
  | { readonly kind: "claim"; readonly request: ClaimRequest }
  /** Says what is wrong, never what stands there: some of it is a password. */
  | { readonly kind: "faulty"; readonly fault: string };

const DROP_BYTES = 4_096;
const FAULT = `is a link, no file, or has more than ${DROP_BYTES} bytes`;

/** Reads `claim.file`. Never throws. */
export function readDrop(path: string): Drop {
  try {
    const text = readBounded(path);
    return text === undefined ? faulty(FAULT) : readRequest(JSON.parse(text));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT") return { kind: "absent" };
    if (code === "ELOOP") return faulty(FAULT);
    // The parser's own message quotes the text.
    return { kind: "faulty", fault: code === "" ? "is not JSON" : `cannot be read (${code})` };
  }
}

/**
 * Opened once: what is looked at is what is read. Of a link only the link would be deleted, and the
 * password would stay; a pipe would keep the gateway from starting.
 */
function readBounded(path: string): string | undefined {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    if (!fstatSync(file).isFile()) return undefined;
    const bytes = Buffer.alloc(DROP_BYTES + 1);
    const length = readSync(file, bytes);
    return length > DROP_BYTES ? undefined : bytes.toString("utf8", 0, length);
  } finally {
    closeSync(file);
  }
}

function readRequest(value: unknown): Drop {
  if (typeof value !== "object" || value === null) return faulty("is not a JSON object");
  const members = new Map<string, unknown>(Object.entries(value));
  const text = (name: string): string | undefined => {
    const member = members.get(name);
    return typeof member === "string" ? member : undefined;
  };
  for (const [name, member] of members) {
    if (!["password", "user", "account"].includes(name)) {
      return faulty("has another member than password, user and account");
    }
    if (typeof member !== "string") return faulty(`has a ${name} that is no string`);
  }
  const [password, user, account] = [text("password"), text("user"), text("account")];
  if (password === undefined) return faulty("has no password");
  const request = {
    password,
    ...(user === undefined ? {} : { user }),
    ...(account === undefined ? {} : { account }),
  };
  return { kind: "claim", request };
}

function faulty(fault: string): Drop {
  return { kind: "faulty", fault };
}

/**
 * Moves the file aside without its password: what is left beside it, `….done`, says what became of it.
 * A file that cannot be deleted is told of, and nothing else: the box is claimed.
 */
export function moveAside(path: string, outcome: object, log: Log): void {
  const aside = `${path}.done`;
  try {
    writeDurably(aside, `${JSON.stringify(outcome)}\n`);
    deleteDurably(path);
    log.info("claim.file_done", { path: aside });
  } catch (error) {
    const remedy = "it holds a password: delete it by hand";
    log.error("claim.file_left", { path, error, remedy });
  }
}
