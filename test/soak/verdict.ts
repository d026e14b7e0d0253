/** What was seen at one moment of a run. */
export type Sample = {
  /** Since the load began. */
  readonly seconds: number;
  readonly rssBytes: number;
  /** JavaScript objects, after a full collection. */
  readonly heapBytes: number;
  /** Among others what waits for clients that do not read. */
  readonly bufferBytes: number;
  readonly sockets: number;
  /** Open files that are no sockets. */
  readonly files: number;
  readonly threads: number;
  readonly diskBytes: number;
  readonly diskFiles: number;
  /** Of the gateway's own count. */
  readonly connections: number;
  readonly sessions: number;
  readonly things: number;
  readonly changes: number;
  readonly batches: number;
  /** Writes that were acknowledged, and messages that were delivered, so far. */
  readonly written: number;
  readonly delivered: number;
};

/** What was there when all clients had gone, and what there was before the first one came. */
export type Remains = {
  readonly socketsLeft: number;
  readonly connectionsLeft: number;
  readonly sessionsLeft: number;
  readonly thingsLeft: number;
  /** Records of the level `error`, and answers that should not have been. */
  readonly complaints: readonly string[];
  /** Of the stop; `null`: it was killed. */
  readonly exitCode: number | null;
};

/** A line through the samples: its rise per hour, and twice the standard error of that. */
export type Growth = { readonly perHour: number; readonly plusMinus: number };

export type Judged = {
  readonly what: string;
  readonly unit: string;
  readonly value: number;
  readonly plusMinus: number;
  /** For a run as long as this one. */
  readonly bound: number;
  readonly verdict: "ok" | "exceeded" | "too short to say";
};

export type Verdict = { readonly ok: boolean; readonly rows: readonly Judged[] };

const MIB = 1024 * 1024;

type Growing = {
  readonly what: string;
  readonly unit: string;
  readonly of: (sample: Sample) => number;
  /** By so much it may still rise after the warm-up, once, while V8, malloc and LevelDB settle. */
  readonly settles: number;
  /** And by so much an hour besides. */
  readonly perHour: number;
};

/** What may grow, and by how much. The longer the run, the less. */
export const GROWTHS: readonly Growing[] = [
  ...[
    { what: "RSS", unit: "MiB", of: mib(({ rssBytes }) => rssBytes), settles: 24, perHour: 16 },
    { what: "heap", unit: "MiB", of: mib(({ heapBytes }) => heapBytes), settles: 3, perHour: 4 },
    { what: "disk", unit: "MiB", of: mib(({ diskBytes }) => diskBytes), settles: 8, perHour: 16 },
  ],
  { what: "sockets", unit: "", of: ({ sockets }) => sockets, settles: 3, perHour: 4 },
  { what: "open files", unit: "", of: ({ files }) => files, settles: 8, perHour: 8 },
  { what: "threads", unit: "", of: ({ threads }) => threads, settles: 2, perHour: 1 },
];

function mib(bytesOf: (sample: Sample) => number): Growing["of"] {
  return (sample) => bytesOf(sample) / MIB;
}

/** Until caches, pools and history have the size they keep. */
const WARM_UP_PART = 1 / 3;
const JUDGED_SECONDS_MIN = 60;
const JUDGED_SAMPLES_MIN = 6;

/**
 * Compares a run with its bounds. Growth counts as far as chance does not explain it: the slope of the
 * least-squares line after the warm-up, less twice its standard error. What settles is allowed once in
 * a run, so that a short one only finds what leaks fast.
 */
export function judge(samples: readonly Sample[], remains: Remains): Verdict {
  const rows = [...GROWTHS.map((growth) => judgeGrowth(samples, growth)), ...atTheEnd(remains)];
  rows.push(exact("intervals without a write", standstills(samples), 0));
  return { ok: rows.every(({ verdict }) => verdict !== "exceeded"), rows };
}

/** The samples after the warm-up. */
export function judgedOf(samples: readonly Sample[]): readonly Sample[] {
  const end = samples.at(-1)?.seconds ?? 0;
  return samples.filter(({ seconds }) => seconds >= end * WARM_UP_PART);
}

function judgeGrowth(
  samples: readonly Sample[],
  { what, unit, of, settles, perHour: risesPerHour }: Growing,
): Judged {
  const judged = judgedOf(samples);
  const [first, last] = [judged[0], judged.at(-1)];
  const seconds = first === undefined || last === undefined ? 0 : last.seconds - first.seconds;
  const points = judged.map((sample) => [sample.seconds / 3_600, of(sample)] as const);
  const { perHour, plusMinus } = growthOf(points);
  const isLong = seconds >= JUDGED_SECONDS_MIN && judged.length >= JUDGED_SAMPLES_MIN;
  const bound = isLong ? risesPerHour + settles / (seconds / 3_600) : 0;
  const isOver = perHour - plusMinus > bound;
  const verdict = !isLong ? "too short to say" : isOver ? "exceeded" : "ok";
  return { what: `${what}, growth`, unit: `${unit}/h`, value: perHour, plusMinus, bound, verdict };
}

/** The least-squares line through points of hours and values; 0 for less than three. */
export function growthOf(points: readonly (readonly [hours: number, value: number])[]): Growth {
  const count = points.length;
  if (count < 3) return { perHour: 0, plusMinus: 0 };
  const mean = (of: (point: readonly [number, number]) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / count;
  const [meanX, meanY] = [mean(([x]) => x), mean(([, y]) => y)];
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const rise = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  if (spread === 0) return { perHour: 0, plusMinus: 0 };
  const perHour = rise / spread;
  const rest = points.reduce((sum, [x, y]) => sum + (y - meanY - perHour * (x - meanX)) ** 2, 0);
  return { perHour, plusMinus: 2 * Math.sqrt(rest / (count - 2) / spread) };
}

function atTheEnd(remains: Remains): Judged[] {
  return [
    exact("sockets left over", remains.socketsLeft, 0),
    exact("connections left over", remains.connectionsLeft, 0),
    exact("sessions left over", remains.sessionsLeft, 0),
    exact("Things left over", remains.thingsLeft, 0),
    exact("complaints", remains.complaints.length, 0),
    exact("exit code of the stop", remains.exitCode ?? -1, 0),
  ];
}

/** Not a matter of chance. */
function exact(what: string, value: number, bound: number): Judged {
  const verdict = value > bound || value < 0 ? "exceeded" : "ok";
  return { what, unit: "", value, plusMinus: 0, bound, verdict };
}

function standstills(samples: readonly Sample[]): number {
  return samples.filter((sample, index) => {
    const before = samples[index - 1];
    return before !== undefined && sample.written <= before.written;
  }).length;
}
