import { createInterface } from "node:readline";
import { Writable } from "node:stream";

/**
 * Asks for a secret. At a terminal it is not shown; else it is the next line of standard input, so that
 * it never stands on a command line, where every process of the machine could read it.
 */
export async function readSecret(prompt: string): Promise<string> {
  const isTerminal = process.stdin.isTTY;
  if (isTerminal) process.stderr.write(prompt);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: isTerminal });
  try {
    for await (const line of lines) return line;
    return "";
  } finally {
    lines.close();
    if (isTerminal) process.stderr.write("\n");
  }
}
