import { FIXED_LIMITS } from "./limits.ts";

/** What the daemon ends with: the codes of sysexits.h that a supervisor can act on. */
export const EXIT = {
  stopped: 0,
  /** Wrong command line: never restarted. */
  usage: 64,
  /** The store cannot be read or written: an operator looks at the disk. */
  storage: 74,
  /** May work the next time: a port in use, another process on the store, a crash. */
  tryAgain: 75,
  /** The configuration cannot work: never restarted. */
  configuration: 78,
} as const;

export type FailureCode = Exclude<(typeof EXIT)[keyof typeof EXIT], 0>;
export type ExitCode = FailureCode | typeof EXIT.stopped;

/** The gateway cannot start, or cannot go on, for a reason that decides the exit code. */
export class StartError extends Error {
  override readonly name = "StartError";
  readonly exitCode: FailureCode;

  constructor(exitCode: FailureCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** Codes of system and LevelDB errors; an error is judged by the first code in its cause chain. */
const CODES: Readonly<Record<string, FailureCode>> = {
  EADDRINUSE: EXIT.tryAgain,
  EADDRNOTAVAIL: EXIT.tryAgain, // The interface may come up later.
  LEVEL_LOCKED: EXIT.tryAgain,
  ENOTFOUND: EXIT.configuration, // A listener's host name.
  ENOSPC: EXIT.storage,
  EDQUOT: EXIT.storage,
  EIO: EXIT.storage,
  EROFS: EXIT.storage,
  ENOTDIR: EXIT.storage,
  EEXIST: EXIT.storage, // A file where the store's directory should be.
  EMFILE: EXIT.tryAgain,
  LEVEL_CORRUPTION: EXIT.storage,
  LEVEL_IO_ERROR: EXIT.storage,
  "storage-full": EXIT.storage,
  "storage-failed": EXIT.storage,
};

/** What to do, by what stands in one of the causes. */
const REMEDIES = [
  [/EROFS|read-only file system/i, "mount it writable (dmesg says why it is not)"],
  [
    /EACCES|EPERM|permission denied|not permitted/i,
    "the store and all that is in it must belong to the user who runs the gateway",
  ],
  [/ENOSPC|EDQUOT|no space left|quota exceeded/i, "free space on the disk"],
  [/EIO|input\/output error/i, "the disk fails (see dmesg): restore a backup on another one"],
] as const;

/** The same, where nothing is wrong but that somebody else has it. */
const HELD_ELSEWHERE = [
  [
    /LEVEL_LOCKED|\block .*unavailable/i,
    "another gateway has this store open: stop it, or give this one a store.path of its own",
  ],
  [
    /EADDRINUSE/,
    "another program listens there: stop it (ss -ltnp shows it), or give this gateway another port",
  ],
] as const;

/** One line for whoever has to see to it: what failed, why, and what to do. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const messages: string[] = [];
  let cause: unknown = error;
  while (cause instanceof Error && messages.length < FIXED_LIMITS.errorCausesMax) {
    messages.push(cause.message);
    cause = cause.cause;
  }
  const what = [...new Set(messages)].join(": ");
  const exitCode = exitCodeOf(error);
  const remedies =
    exitCode === EXIT.storage ? REMEDIES : exitCode === EXIT.tryAgain ? HELD_ELSEWHERE : [];
  const remedy = remedies.find(([sign]) => sign.test(what))?.[1];
  return remedy === undefined ? what : `${what}; ${remedy}`;
}

/** The exit code for anything thrown. What is not known may work the next time. */
export function exitCodeOf(error: unknown): FailureCode {
  let storage = false;
  let cause: unknown = error;
  const most = FIXED_LIMITS.errorCausesMax;
  for (let depth = 0; depth < most && cause instanceof Error; depth++, cause = cause.cause) {
    if (cause instanceof StartError) return cause.exitCode;
    const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
    if (code === "EACCES" || code === "EPERM") {
      const isListener = "syscall" in cause && cause.syscall === "listen";
      return isListener ? EXIT.configuration : EXIT.storage;
    }
    const known = CODES[code];
    if (known === EXIT.storage) storage = true;
    else if (known !== undefined) return known;
  }
  return storage ? EXIT.storage : EXIT.tryAgain;
}
