import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Test } from "tap";
import type { Dice } from "../crash/dice.ts";
import { Doubles } from "./doubles.ts";

/**
 * What the line does to bytes in both directions. `open`: passes them on. `stalled`: takes connections
 * and bytes, and passes nothing on. `cut`: refuses connections, and has ended those there were.
 */
type Mode = "open" | "stalled" | "cut";

export type Weather = {
  /** Each piece is held back so long, ms. */
  readonly delayMs?: number;
  /** In each direction and connection; 0: no bound. */
  readonly bytesPerS?: number;
  /** So many of a hundred PUBLISH and PUBACK packets come twice; over plain MQTT. */
  readonly doubledPercent?: number;
};

/** A line that fails as lines do. It works on TCP: nothing is lost or reordered in a connection. */
export class FaultProxy {
  readonly #upstreamPort: number;
  #server: Server;
  #port = 0;
  #mode: Mode = "open";
  #weather: Weather = {};
  readonly #pairs = new Set<Pair>();
  #accepted = 0;

  private constructor(upstreamPort: number) {
    this.#upstreamPort = upstreamPort;
    this.#server = this.#newServer();
  }

  static async start(t: Test, upstreamPort: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(upstreamPort);
    await proxy.#listen(0);
    t.teardown(async () => proxy.#close());
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  /** Connections it has taken so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Bytes that have come from the side that connects, and were passed on. */
  get passedUp(): number {
    return this.#passedUp;
  }
  #passedUp = 0;

  /** From now on; what is under way is held back as it was. */
  turn(weather: Weather): void {
    this.#weather = weather;
  }

  /** Everything ends, and nobody listens any more. */
  async cut(): Promise<void> {
    if (this.#mode === "cut") return;
    this.#mode = "cut";
    await this.#close();
  }

  /** Connections stand, and nothing gets through either way. */
  async stall(): Promise<void> {
    if (this.#mode === "cut") await this.#listen(this.#port);
    this.#mode = "stalled";
  }

  /** Whatever was held back gets through, and all that comes. */
  async mend(): Promise<void> {
    if (this.#mode === "cut") await this.#listen(this.#port);
    this.#mode = "open";
    for (const pair of this.#pairs) pair.pump();
  }

  /** Connections end with RST, as if a NAT had forgotten them; new ones are taken. */
  reset(): void {
    for (const pair of [...this.#pairs]) pair.end();
  }

  async #listen(port: number): Promise<void> {
    this.#server = this.#newServer();
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    this.#port = address.port;
  }

  #newServer(): Server {
    return createServer((near) => {
      this.#accepted += 1;
      const far = connect(this.#upstreamPort, "127.0.0.1");
      const pair = new Pair(near, far, {
        isOpen: () => this.#mode === "open",
        weather: () => this.#weather,
        passedUp: (bytes) => (this.#passedUp += bytes),
        ended: () => this.#pairs.delete(pair),
      });
      this.#pairs.add(pair);
    });
  }

  async #close(): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, "close") : undefined;
    if (this.#server.listening) this.#server.close();
    this.reset();
    await closed;
  }
}

type PairDeps = {
  readonly isOpen: () => boolean;
  readonly weather: () => Weather;
  readonly passedUp: (bytes: number) => void;
  readonly ended: () => void;
};

/** One connection and its other half. */
class Pair {
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #deps: PairDeps;
  readonly #directions: readonly Direction[];
  #hasEnded = false;

  constructor(near: Socket, far: Socket, deps: PairDeps) {
    this.#near = near;
    this.#far = far;
    this.#deps = deps;
    near.setNoDelay(true);
    far.setNoDelay(true);
    this.#directions = [
      new Direction(near, far, deps, deps.passedUp),
      new Direction(far, near, deps, () => undefined),
    ];
    for (const socket of [near, far]) {
      socket.on("error", () => this.end());
      socket.on("close", () => this.end());
    }
  }

  pump(): void {
    for (const direction of this.#directions) direction.pump();
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    for (const direction of this.#directions) direction.stop();
    for (const socket of [this.#near, this.#far]) {
      // A socket that is being shut down cannot be reset: libuv would keep its handle for ever.
      if (socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
    }
    this.#deps.ended();
  }
}

/** What waits before its sender is not read any more. */
const HELD_BYTES_MAX = 65_536;

class Direction {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #deps: PairDeps;
  readonly #passed: (bytes: number) => void;
  readonly #doubles = new Doubles(() => this.#isDoubled());
  #packets = 0;
  readonly #held: { readonly bytes: Buffer; readonly dueMs: number }[] = [];
  #heldBytes = 0;
  #nextMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #hasEnd = false;
  #isStopped = false;

  constructor(from: Socket, to: Socket, deps: PairDeps, passed: (bytes: number) => void) {
    this.#from = from;
    this.#to = to;
    this.#deps = deps;
    this.#passed = passed;
    from.on("data", (bytes: Buffer) => {
      const { delayMs = 0 } = deps.weather();
      for (const piece of this.#doubles.pieces(bytes)) {
        this.#held.push({ bytes: piece, dueMs: performance.now() + delayMs });
        this.#heldBytes += piece.length;
      }
      if (this.#heldBytes >= HELD_BYTES_MAX) from.pause();
      this.pump();
    });
    from.on("end", () => {
      this.#hasEnd = true;
      this.pump();
    });
  }

  /** Passes on what may pass by now. */
  pump(): void {
    clearTimeout(this.#timer);
    while (!this.#isStopped && this.#deps.isOpen()) {
      const [next] = this.#held;
      if (next === undefined) {
        if (this.#hasEnd) this.#to.end();
        return;
      }
      const waitMs = Math.max(next.dueMs, this.#nextMs) - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(waitMs));
        return;
      }
      this.#held.shift();
      this.#pass(next.bytes);
    }
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #isDoubled(): boolean {
    const { doubledPercent = 0 } = this.#deps.weather();
    this.#packets += 1;
    return (this.#packets * doubledPercent) % 100 < doubledPercent;
  }

  #pass(bytes: Buffer): void {
    const { bytesPerS = 0 } = this.#deps.weather();
    const most = bytesPerS === 0 ? bytes.length : Math.max(1, Math.ceil(bytesPerS / 20));
    const now = bytes.subarray(0, most);
    if (now.length < bytes.length) {
      this.#held.unshift({ bytes: bytes.subarray(most), dueMs: 0 });
    }
    this.#heldBytes -= now.length;
    if (bytesPerS > 0) {
      this.#nextMs = Math.max(this.#nextMs, performance.now()) + (now.length * 1_000) / bytesPerS;
    }
    this.#passed(now.length);
    this.#to.write(now);
    if (this.#heldBytes < HELD_BYTES_MAX) this.#from.resume();
  }
}

/**
 * Does to the line what lines do, one thing after the other, until `until` is aborted; then mends it.
 * The same dice make the same faults. Returns what it did.
 */
export async function misbehave(
  proxy: FaultProxy,
  dice: Dice,
  until: AbortSignal,
): Promise<readonly string[]> {
  const done: string[] = [];
  const faults: readonly (readonly [name: string, happen: () => Promise<void> | void])[] = [
    ["cut", async () => proxy.cut()],
    ["stall", async () => proxy.stall()],
    ["reset", () => proxy.reset()],
    ["slow", () => proxy.turn({ bytesPerS: 20_000 })],
    ["late", () => proxy.turn({ delayMs: 40 })],
    ["doubles", () => proxy.turn({ doubledPercent: 20 })],
    ["clear", () => proxy.turn({})],
  ];
  while (!until.aborted) {
    const [name, happen] = dice.pick(faults);
    const lastsMs = 20 + dice.below(300);
    await happen();
    done.push(`${name} ${lastsMs}`);
    await Promise.race([
      new Promise((resolve) => setTimeout(resolve, lastsMs)),
      new Promise((resolve) => until.addEventListener("abort", resolve, { once: true })),
    ]);
    if (name === "cut" || name === "stall") await proxy.mend();
  }
  proxy.turn({});
  await proxy.mend();
  return done;
}
