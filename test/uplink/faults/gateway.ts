import type { Test } from "tap";
import { httpTo, type Http } from "../../crash/http.ts";
import type { Login } from "../../crash/mqtt-client.ts";
import { Daemon } from "../../daemon.ts";
import { within } from "./waiting.ts";

const TOKEN = "slu_uplink-fault-run-administrator";

type Where = { readonly path: string; readonly ports: readonly [mqtt: number, http: number] };

/** A gateway that is killed and started again, on the same ports and store. */
export class Gateway {
  readonly path: string;
  readonly mqttPort: number;
  kills = 0;
  readonly #t: Test;
  readonly #env: NodeJS.ProcessEnv;
  readonly #http: Http;
  #daemon: Daemon | undefined;
  #login: Omit<Login, "port" | "clientId"> = { username: "", password: "" };

  constructor(t: Test, { path, ports }: Where, env: NodeJS.ProcessEnv = {}) {
    this.#t = t;
    this.path = path;
    this.mqttPort = ports[0];
    this.#http = httpTo(ports[1], TOKEN);
    this.#env = {
      SLUICE_STORE__PATH: path,
      SLUICE_MQTT__PORT: String(ports[0]),
      SLUICE_HTTP__PORT: String(ports[1]),
      SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN,
      // Bounds that would rightly refuse what is looked for.
      SLUICE_LIMITS__PENDING_ACTIONS_PER_THING: "100000",
      SLUICE_LIMITS__CONNECTS_PER_MINUTE_PER_ADDRESS: "0",
      ...env,
    };
  }

  async serve(): Promise<void> {
    this.#daemon = new Daemon(this.#t, [], this.#env);
    await within(this.#daemon.ready, "the gateway did not start");
  }

  /** Resolves when it serves again. */
  async kill(): Promise<void> {
    this.#daemon?.signal("SIGKILL");
    const { code, stderr } = (await this.#daemon?.ended) ?? { code: null, stderr: "" };
    if (code !== null) throw new Error(`the gateway ended with ${code}\n${stderr}`);
    this.kills += 1;
    await this.serve();
  }

  async stop(): Promise<void> {
    this.#daemon?.signal("SIGTERM");
    const { code, stderr } = (await this.#daemon?.ended) ?? { code: null, stderr: "" };
    if (code !== 0) throw new Error(`the gateway stopped with ${String(code)}\n${stderr}`);
  }

  /** A credential for all its Things. */
  async makeLogin(): Promise<Omit<Login, "port" | "clientId">> {
    const resources = [
      { entity: "things", id: ["*"], definition: true },
      { entity: "data", id: ["*"] },
    ];
    const made = await this.ask("POST", "/site/mqtt", { resources });
    const { username, password } = made as { username: string; password: string };
    this.#login = { username, password };
    return this.#login;
  }

  login(clientId: string): Login {
    return { port: this.mqttPort, clientId, ...this.#login };
  }

  async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await this.#http(method, path, body);
    if (answer.status >= 300) {
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  }
}
