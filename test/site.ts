import type { Test } from "tap";
import { Daemon, daemonEnvironment } from "./daemon.ts";

/** A running gateway with the account `site`, and an admin token of every scope. */
export type Site = {
  readonly url: string;
  readonly mqttPort: number;
  readonly admin: string;
  /** @throws Error with the answer, if the status is not 2xx. */
  readonly call: (method: string, path: string, body?: unknown) => Promise<unknown>;
  /** Makes a credential; by default of a device for every Thing, its description and data too. */
  readonly makeCredential: (
    user: string,
    resources?: readonly object[],
  ) => Promise<{ readonly username: string; readonly password: string }>;
};

const EVERYTHING = [
  { entity: "things", id: ["*"], definition: true },
  { entity: "data", id: ["*"] },
];

/** The daemon as its own process, on a store of its own; ended with the test. */
export async function openSite(t: Test, env: NodeJS.ProcessEnv = {}): Promise<Site> {
  const admin = "slu_0123456789abcdefghij";
  const daemon = new Daemon(t, [], {
    ...daemonEnvironment(t),
    SLUICE_BOOTSTRAP__ADMIN_TOKEN: admin,
    ...env,
  });
  const { mqttPort, httpPort } = await daemon.ready;
  const url = `http://127.0.0.1:${httpPort}`;
  const call: Site["call"] = async (method, path, body) => {
    const response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${admin}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  };
  const makeCredential: Site["makeCredential"] = async (user, resources = EVERYTHING) => {
    const made = await call("POST", "/site/mqtt", { user, resources });
    return made as { username: string; password: string };
  };
  return { url, mqttPort, admin, call, makeCredential };
}
