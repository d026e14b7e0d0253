import type { SoakOptions, SoakReport } from "./soak.ts";
import { judgedOf, type Judged, type Sample } from "./verdict.ts";

/** Takes what a run says, for a person or for a script. */
export type Printer = {
  readonly started: (options: SoakOptions, pid: number) => void;
  readonly sample: (sample: Sample) => void;
  readonly report: (report: SoakReport) => void;
};

/** One JSON object a line: `started`, `sample` after `sample`, `verdict`. */
export function jsonPrinter(write: (text: string) => void): Printer {
  const line = (record: unknown): void => write(`${JSON.stringify(record)}\n`);
  return {
    started: (options, pid) => line({ event: "started", ...options, pid }),
    sample: (sample) => line({ event: "sample", ...sample }),
    report: ({ remains, verdict }) => line({ event: "verdict", ...verdict, remains }),
  };
}

const MIB = 1024 * 1024;
const mib = (bytes: number): string => (bytes / MIB).toFixed(1);
const clock = (seconds: number): string => {
  const pad = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  return `${pad(seconds / 3_600)}:${pad((seconds / 60) % 60)}:${pad(seconds % 60)}`;
};

const COLUMNS: readonly (readonly [title: string, of: (sample: Sample) => string])[] = [
  ["time", ({ seconds }) => clock(seconds)],
  ["written", ({ written }) => String(written)],
  ["delivered", ({ delivered }) => String(delivered)],
  ["batches", ({ batches }) => String(batches)],
  ["RSS MiB", ({ rssBytes }) => mib(rssBytes)],
  ["heap MiB", ({ heapBytes }) => mib(heapBytes)],
  ["buffers", ({ bufferBytes }) => mib(bufferBytes)],
  ["sockets", ({ sockets }) => String(sockets)],
  ["files", ({ files }) => String(files)],
  ["threads", ({ threads }) => String(threads)],
  ["disk MiB", ({ diskBytes, diskFiles }) => `${mib(diskBytes)}/${diskFiles}`],
  ["sessions", ({ sessions }) => String(sessions)],
  ["Things", ({ things }) => String(things)],
];
const WIDTH = 10;
const BAR = 30;
const ERASE_LINE = "\r\u001b[K";

/** A table that grows; below it, on a terminal, how far the run has come. */
export function tablePrinter(
  write: (text: string) => void,
  isTerminal: boolean,
): Printer & { readonly stop: () => void } {
  let options: SoakOptions | undefined;
  let begunMs = 0;
  let timer: NodeJS.Timeout | undefined;
  const progress = (): void => {
    if (!isTerminal || options === undefined) return;
    const seconds = (performance.now() - begunMs) / 1_000;
    const done = Math.round(BAR * Math.min(1, seconds / options.seconds));
    const bar = "█".repeat(done) + "░".repeat(BAR - done);
    write(`${ERASE_LINE}${bar} ${clock(seconds)} of ${clock(options.seconds)}`);
  };
  const line = (text: string): void => {
    write(`${isTerminal ? ERASE_LINE : ""}${text}\n`);
    progress();
  };
  const stop = (): void => {
    clearInterval(timer);
    if (isTerminal && options !== undefined) write(ERASE_LINE);
    options = undefined;
  };
  return {
    stop,
    started: (given, pid) => {
      [options, begunMs] = [given, performance.now()];
      line(`seed ${given.seed}, gateway ${pid}, ${clock(given.seconds)}`);
      line(COLUMNS.map(([title]) => title.padStart(WIDTH)).join(""));
      if (isTerminal) timer = setInterval(progress, 1_000);
    },
    sample: (sample) => line(COLUMNS.map(([, of]) => of(sample).padStart(WIDTH)).join("")),
    report: ({ samples, remains, verdict }) => {
      stop();
      const from = judgedOf(samples)[0]?.seconds ?? 0;
      write(`\ngrowth is judged from ${clock(from)} on\n`);
      for (const row of verdict.rows) write(`${verdictLine(row)}\n`);
      for (const complaint of remains.complaints) write(`  ${complaint}\n`);
      write(verdict.ok ? "ok\n" : "EXCEEDED\n");
    },
  };
}

function verdictLine({ what, unit, value, plusMinus, bound, verdict }: Judged): string {
  const shown =
    unit === "" ? String(value) : `${value.toFixed(1)} ± ${plusMinus.toFixed(1)} ${unit}`;
  return `${what.padEnd(28)}${shown.padStart(24)}   bound ${bound.toFixed(0).padStart(4)}   ${verdict}`;
}
