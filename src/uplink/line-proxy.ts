import { once } from "node:events";
import type { Socket } from "node:net";
import { SocksClient } from "socks";
import { FIXED_LIMITS } from "../limits.ts";
import { LineFailure, type LineFailureKind } from "./line-failure.ts";

/** Where a proxy, or upstream, is. */
export type Endpoint = { readonly host: string; readonly port: number };

/**
 * Makes a connection to a proxy one to `target` through it. Names are looked up by the proxy.
 * @throws LineFailure. Whoever destroys the socket ends the wait.
 */
export async function passProxy(socket: Socket, proxy: URL, target: Endpoint): Promise<void> {
  if (proxy.protocol === "http:") await passHttpProxy(socket, proxy, target);
  else await passSocksProxy(socket, proxy, target);
}

export function proxyEndpoint(proxy: URL): Endpoint {
  const fallback = proxy.protocol === "http:" ? 80 : 1080;
  return { host: hostOf(proxy), port: proxy.port === "" ? fallback : Number(proxy.port) };
}

/** Without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

/** CONNECT, RFC 9110 §9.3.6. */
async function passHttpProxy(socket: Socket, proxy: URL, { host, port }: Endpoint): Promise<void> {
  const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const lines = [`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`];
  if (proxy.username !== "" || proxy.password !== "") {
    const login = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
    lines.push(`Proxy-Authorization: Basic ${Buffer.from(login).toString("base64")}`);
  }
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  const status = statusOf(await readHead(socket));
  if (status >= 200 && status <= 299) return;
  const words = PROXY_WORDS[status] ?? `it answered ${status}`;
  throw new LineFailure(status === 407 ? "refused" : "unreachable", `the proxy: ${words}`, {
    code: status,
  });
}

const PROXY_WORDS: Readonly<Record<number, string>> = {
  0: "it does not answer as an HTTP proxy",
  403: "it does not let us through to upstream (403)",
  407: "it wants another user name and password (407)",
  502: "it cannot reach upstream (502)",
  503: "it cannot reach upstream (503)",
  504: "upstream does not answer it (504)",
};

/** What comes behind the head stays in the socket. */
async function readHead(socket: Socket): Promise<string> {
  let head = Buffer.alloc(0);
  for (;;) {
    const chunk: unknown = socket.read();
    if (Buffer.isBuffer(chunk)) {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end >= 0) {
        if (end + 4 < head.length) socket.unshift(head.subarray(end + 4));
        return head.toString("latin1", 0, end);
      }
      if (head.length > FIXED_LIMITS.uplinkProxyHeadBytesMax) return "";
    } else if (socket.readableEnded || socket.destroyed) {
      throw new LineFailure("closed", "the proxy: it closed the connection");
    } else {
      await Promise.race([once(socket, "readable"), once(socket, "close")]);
    }
  }
}

/** 0: no status line. */
function statusOf(head: string): number {
  return Number(/^HTTP\/1\.[01] (\d{3})(?: |\r|$)/.exec(head)?.[1] ?? "0");
}

/** RFC 1928, RFC 1929; and SOCKS 4a. */
async function passSocksProxy(socket: Socket, proxy: URL, target: Endpoint): Promise<void> {
  const login = {
    ...(proxy.username === "" ? {} : { userId: decodeURIComponent(proxy.username) }),
    ...(proxy.password === "" ? {} : { password: decodeURIComponent(proxy.password) }),
  };
  const type = proxy.protocol === "socks4:" ? 4 : 5;
  try {
    await SocksClient.createConnection({
      command: "connect",
      destination: { ...target },
      proxy: { ...proxyEndpoint(proxy), type, ...login },
      existing_socket: socket,
      timeout: FIXED_LIMITS.uplinkConnectMsMax,
    });
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const [, kind, words] = SOCKS_WORDS.find(([pattern]) => pattern.test(said)) ?? [];
    // The library's error carries its options, and with them the password: it is no cause.
    throw new LineFailure(kind ?? "unreachable", `the proxy: ${words ?? `it says: ${said}`}`);
  }
}

/** What the library says, of RFC 1928 §6 and of what is no SOCKS at all. */
const SOCKS_WORDS: readonly (readonly [RegExp, LineFailureKind, string])[] = [
  [/auth/i, "refused", "it does not take our user name and password"],
  [/NotAllowed/, "refused", "it does not let us through to upstream"],
  [/ConnectionRefused/, "unreachable", "nothing listens at upstream (connection refused)"],
  [/(Host|Network)Unreachable|TTLExpired/, "unreachable", "it cannot reach upstream"],
  [/rejected/i, "unreachable", "it does not let us through to upstream, or cannot reach it"],
  [
    /ECONNRESET|EPIPE|closed|Invalid|timed out/i,
    "unreachable",
    "it does not answer as a SOCKS proxy",
  ],
];
