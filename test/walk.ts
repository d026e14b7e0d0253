import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { fencedBlocks } from "./documents.ts";

/** Stands before the output of each block: ASCII's record separator. */
const MARK = "\u001e";

export type Step = { readonly commands: string; readonly shown: string };

/** The blocks of commands, each with the output shown after it. */
export function stepsOf(section: string): readonly Step[] {
  const blocks = fencedBlocks(section);
  return blocks.flatMap(({ language, text }, index) => {
    if (language !== "sh") return [];
    const next = blocks[index + 1];
    return [{ commands: text, shown: next?.language === "text" ? next.text : "" }];
  });
}

/**
 * All steps in one shell, which ends at the first command that fails. Its stdout, step by step. The
 * folder that TMPDIR names is its own, and gone with the test.
 */
export async function runSteps(t: Test, steps: readonly Step[], env: NodeJS.ProcessEnv) {
  const directory = mkdtempSync(join(tmpdir(), "sluice-readme-"));
  const script = steps.map(({ commands }) => `printf '\\036'\n${commands}`).join("");
  const child = spawn("bash", ["-c", `set -eu\n${script}`], {
    detached: true, // A process group of its own: what it leaves behind is ended with it.
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], TMPDIR: directory, ...env },
  });
  // A walk cut short leaves its gateway behind.
  const endGroup = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // Nothing was left.
    }
  };
  child.once("exit", endGroup);
  t.teardown(() => {
    endGroup();
    rmSync(directory, { recursive: true, force: true });
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, outputs: stdout.split(MARK).slice(1), stderr };
}
