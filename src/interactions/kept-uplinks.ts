import { DEFAULT_TERMS, type OutboxTerms } from "../store/outbox-terms.ts";
import type { Uplink } from "../store/uplinks.ts";
import { isJsonObject, type JsonObject } from "../thing/json.ts";
import { GIVEN_UPLINK } from "../uplink-members.ts";
import { completeUplink, type UplinkSettings } from "../uplink-settings.ts";
import { uplinkTerms } from "./uplink-terms.ts";

/** The uplinks of the configuration file, by name: while it names one, the file decides. */
export type FileUplinks = ReadonlyMap<string, UplinkSettings>;

export type KnownSettings =
  | { readonly isUsable: true; readonly settings: UplinkSettings }
  /** What is left of them, if anything; `reason` is for an operator. */
  | { readonly isUsable: false; readonly settings?: UplinkSettings; readonly reason: string };

/** Of an uplink that is kept: the settings to use, and why there may be none to use. */
export function settingsOf(file: FileUplinks, uplink: Uplink): KnownSettings {
  const given = file.get(uplink.name);
  if (given !== undefined) return { isUsable: true, settings: given };
  const { origin, settings } = readRow(uplink.settings);
  if (settings === undefined) {
    const reason = "its settings are not of this version of the gateway: PUT them again";
    return { isUsable: false, reason };
  }
  if (origin === "api") return { isUsable: true, settings };
  const reason =
    "the configuration file does not name it any more: name it again, or PUT or DELETE it";
  return { isUsable: false, settings, reason };
}

/** What it owes by these settings: also while nobody sends it. */
export function termsOf(file: FileUplinks, uplink: Uplink): OutboxTerms {
  const { settings } = settingsOf(file, uplink);
  return settings === undefined ? DEFAULT_TERMS : uplinkTerms(settings, uplink.number);
}

/** As the store keeps what was PUT: secrets as they are, for upstream wants to see them (ADR 0006). */
export function rowOfApi(settings: UplinkSettings): JsonObject {
  return { origin: "api", settings: { ...settings } };
}

/** Of an uplink of the file only what must outlive its line in the file: nothing to log in with. */
export function rowOfFile(settings: UplinkSettings): JsonObject {
  const { password: _, key: __, cert: ___, proxy: ____, ...kept } = settings;
  return { origin: "file", settings: kept };
}

type Row = { readonly origin: "api" | "file"; readonly settings: UplinkSettings | undefined };

function readRow(row: JsonObject): Row {
  const { origin, settings } = row;
  const parsed = GIVEN_UPLINK.safeParse(isJsonObject(settings) ? settings : undefined);
  const read = parsed.success ? completeUplink(parsed.data) : undefined;
  return {
    origin: origin === "file" ? "file" : "api",
    settings: read?.ok === true ? read.settings : undefined,
  };
}
