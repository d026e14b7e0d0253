import type Koa from "koa";
import type { Answer } from "./call.ts";

const SECURITY_HEADERS = {
  "Cache-Control": "no-store",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
} as const;

/** What every answer carries, whatever it will be. */
export function prepare(context: Koa.Context, requestId: string): void {
  context.set(SECURITY_HEADERS);
  context.set("X-Request-Id", requestId);
}

export function send(
  context: Koa.Context,
  { status, body, text, mediaType, etag, headers }: Answer,
): void {
  context.status = status;
  if (headers !== undefined) context.set({ ...headers });
  if (etag !== undefined) context.set("ETag", `"${etag}"`);
  if (text !== undefined) {
    context.set("Content-Type", mediaType ?? "text/plain; charset=utf-8");
    context.body = typeof text === "string" ? text : Buffer.from(text);
    return;
  }
  if (body === undefined) {
    context.body = null;
    return;
  }
  context.set("Content-Type", mediaType ?? "application/json");
  context.body = JSON.stringify(body);
}
