import { connect, type Socket } from "node:net";
import { Histogram } from "./histogram.ts";
import { latencyOf, type HttpJob, type HttpResult, type Marks } from "./job.ts";
import { pause } from "./pace.ts";

/** A GET over and over on keep-alive connections, one request at a time on each. */
export async function runHttp(job: HttpJob, marks: Marks): Promise<HttpResult> {
  const latency = new Histogram();
  const state = { answered: 0, isRunning: true, failure: undefined as Error | undefined };
  const request = Buffer.from(
    [
      `GET ${job.path} HTTP/1.1`,
      `Host: ${job.host}:${job.port}`,
      ...Object.entries(job.headers).map(([name, value]) => `${name}: ${value}`),
      "\r\n",
    ].join("\r\n"),
  );
  const sockets = Array.from({ length: job.connections }, () => {
    const socket = connect({ host: job.host, port: job.port, noDelay: true });
    repeat(socket, request, latency, state);
    return socket;
  });
  await pause(job.warmupMs);
  latency.reset();
  const before = state.answered;
  const cpuBefore = process.cpuUsage();
  const begunMs = performance.now();
  marks.started();
  await pause(job.measureMs);
  const seconds = (performance.now() - begunMs) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const answered = state.answered - before;
  marks.ended();
  state.isRunning = false;
  for (const socket of sockets) socket.destroy();
  if (state.failure !== undefined) throw state.failure;
  const cpu = (user + system) / 1e6 / seconds;
  return { kind: "http", perSecond: answered / seconds, latency: latencyOf(latency), cpu };
}

type State = { answered: number; isRunning: boolean; failure: Error | undefined };

function repeat(socket: Socket, request: Buffer, latency: Histogram, state: State): void {
  let sinceMs = 0;
  let answer = "";
  const send = (): void => {
    sinceMs = performance.now();
    socket.write(request);
  };
  socket.setEncoding("latin1");
  socket.on("connect", send);
  socket.on("error", (error) => (state.failure ??= error));
  socket.on("close", () => {
    if (state.isRunning) state.failure ??= new Error("the server closed a connection");
  });
  socket.on("data", (chunk: Buffer | string) => {
    answer += chunk.toString();
    const length = answerLength(answer);
    if (length === undefined || answer.length < length) return;
    if (!answer.startsWith("HTTP/1.1 200")) {
      state.failure ??= new Error(answer.slice(0, answer.indexOf("\r\n")));
      return;
    }
    answer = "";
    state.answered += 1;
    latency.add(performance.now() - sinceMs);
    send();
  });
}

/** Of head and body, once the head is there. */
function answerLength(answer: string): number | undefined {
  const headEnd = answer.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const length = /^content-length: *(\d+)/im.exec(answer.slice(0, headEnd))?.[1];
  return headEnd + 4 + Number(length ?? "0");
}
