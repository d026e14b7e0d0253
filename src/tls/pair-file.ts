import { readFileSync } from "node:fs";
import { writeDurably } from "../durable-file.ts";
import { keyPemOf, pemOf, provePair, type KeyPair, type Proof } from "./key-pair.ts";

/**
 * Keeps a pair in one file, so that no power cut leaves half of it: the key, then the certificates.
 * @throws Error of the file system.
 */
export function writePair(path: string, pair: KeyPair): void {
  writeDurably(path, keyPemOf(pair) + pemOf(pair));
}

/** `undefined`: there is no such file. */
export function readPair(path: string): Proof | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    return { ok: false, fault: error instanceof Error ? error.message : String(error) };
  }
  return provePair(text, text);
}
