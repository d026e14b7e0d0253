import { z } from "zod";
import { NAMED_UPLINK } from "./uplink-members.ts";
import { completeUplink, type UplinkSettings } from "./uplink-settings.ts";

/** An uplink of the configuration file. */
export type FileUplink = { readonly name: string; readonly settings: UplinkSettings };

/** `[[uplink]]`, in the file only: each with a name of its own, and the members of the API. */
export const UPLINKS_SCHEMA = z
  .array(NAMED_UPLINK, "expected tables: [[uplink]]")
  .transform((tables, context): readonly FileUplink[] => {
    const names = new Set<string>();
    return tables.flatMap(({ name, ...given }, index) => {
      if (names.has(name)) addFault(context, [index, "name"], "must not be that of another uplink");
      names.add(name);
      const read = completeUplink(given);
      if (read.ok) return [Object.freeze({ name, settings: Object.freeze(read.settings) })];
      for (const { pointer, detail } of read.faults) {
        addFault(context, [index, ...pointer.split("/").slice(1)], detail);
      }
      return [];
    });
  })
  .readonly()
  .prefault([]);

/** What is wrong, one line each; never a value. `path` is that below `uplink`. */
export function uplinkFaults(
  issue: z.core.$ZodIssue,
  path: readonly PropertyKey[],
): readonly string[] {
  const [index, ...members] = path.map(String);
  const at = ["uplink" + (index === undefined ? "" : `[${index}]`), ...members].join(".");
  if (issue.code !== "unrecognized_keys") return [`${at}: ${expectedOf(issue)}`];
  return issue.keys.map((name) => `${at}.${name}: not a known member here (docs/uplink.md)`);
}

function expectedOf({ message }: z.core.$ZodIssue): string {
  return message.replace(/^must be /, "expected ");
}

function addFault(context: z.RefinementCtx, path: (string | number)[], message: string): void {
  context.addIssue({ code: "custom", path, message });
}
