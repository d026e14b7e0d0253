/** A response that was read to its end. */
export type Answer = { readonly status: number; readonly body: unknown };

/** One request on kept-alive connections. Rejects if the connection fails: the outcome is unknown. */
export type Http = (
  method: string,
  path: string,
  body?: unknown,
  authorization?: string,
) => Promise<Answer>;

export function httpTo(port: number, token: string): Http {
  return async (method, path, body, authorization = `Bearer ${token}`) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: { authorization, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json") === true;
    return { status: response.status, body: isJson ? (JSON.parse(text) as unknown) : text };
  };
}

export function basic(login: string): string {
  return `Basic ${Buffer.from(login).toString("base64")}`;
}

type Page = {
  readonly data: readonly unknown[];
  readonly paging: { readonly next_cursor: string };
};

/** The items of a list, page after page; stops reading when the caller does. */
export async function* listOf(http: Http, path: string): AsyncGenerator {
  let cursor = "";
  do {
    const separator = path.includes("?") ? "&" : "?";
    const answer = await http("GET", `${path}${separator}limit=1000&next_cursor=${cursor}`);
    if (answer.status !== 200) throw new Error(`GET ${path} gave ${answer.status}`);
    const page = answer.body as Page;
    yield* page.data;
    cursor = page.paging.next_cursor;
  } while (cursor !== "");
}
