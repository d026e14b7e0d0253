/** What a verb ends with. `docs/cli.md` has a row for each (tested). */
export const CLI_EXIT = {
  done: 0,
  /** The gateway refused, or what was asked for is not so. */
  refused: 1,
  /** Wrong command line. */
  usage: 64,
  /** No gateway answers on the socket, or the socket may not be opened. */
  unavailable: 69,
} as const;

export type CliExit = (typeof CLI_EXIT)[keyof typeof CLI_EXIT];

/** Ends a verb with this exit code and one line on standard error. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: CliExit;

  constructor(exitCode: CliExit, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
