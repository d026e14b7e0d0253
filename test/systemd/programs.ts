import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/**
 * Options of a test that needs programs of the machine: it is skipped, and says why, where one is
 * missing. In CI nothing may be missing, so there it runs and fails.
 */
export function needs(...programs: readonly string[]): { readonly skip?: string } {
  const missing = programs.filter((program) => !isInPath(program));
  if (missing.length === 0 || process.env["CI"] === "true") return {};
  return { skip: `needs ${missing.join(", ")}` };
}

function isInPath(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
