import { compileLibrary } from "../preload.ts";

/** One call of the recorded process. Times are ns of CLOCK_MONOTONIC: `process.hrtime.bigint()`. */
export type Call = { readonly begin: bigint; readonly end: bigint } & (
  | { readonly kind: "open"; readonly file: bigint; readonly path: string; readonly flags: number }
  | {
      readonly kind: "write";
      readonly file: bigint;
      /** `undefined`: at the end of the file. */
      readonly offset: number | undefined;
      readonly data: Buffer;
    }
  | { readonly kind: "truncate"; readonly file: bigint; readonly size: number }
  | { readonly kind: "sync"; readonly file: bigint }
  | { readonly kind: "rename"; readonly path: string; readonly to: string }
  | { readonly kind: "remove"; readonly path: string }
  | { readonly kind: "mkdir"; readonly path: string }
);

/** Compiles the recorder to `library` and returns the environment that preloads it. */
export function makeRecorder(library: string, root: string, trace: string): NodeJS.ProcessEnv {
  compileLibrary("powercut/recorder.c", library);
  return { LD_PRELOAD: library, POWERCUT_ROOT: root, POWERCUT_TRACE: trace };
}

const HEADER = 48;

/** Reads what the recorder wrote; in the order in which the calls began. */
export function readTrace(bytes: Buffer): readonly Call[] {
  const calls: Call[] = [];
  for (let at = 0; at < bytes.length;) {
    const [pathAt, otherAt] = [at + HEADER, at + HEADER + bytes.readUInt32LE(at + 4)];
    const dataAt = otherAt + bytes.readUInt32LE(at + 8);
    const end = dataAt + bytes.readUInt32LE(at + 12);
    calls.push({
      begin: bytes.readBigUInt64LE(at + 32),
      end: bytes.readBigUInt64LE(at + 40),
      ...callOf(String.fromCharCode(bytes.readUInt32LE(at)), {
        file: bytes.readBigUInt64LE(at + 16),
        number: Number(bytes.readBigUInt64LE(at + 24)),
        path: bytes.toString("utf8", pathAt, otherAt),
        other: bytes.toString("utf8", otherAt, dataAt),
        data: bytes.subarray(dataAt, end),
      }),
    });
    at = end;
  }
  return calls.sort((a, b) => Number(a.begin - b.begin));
}

type Fields = {
  readonly file: bigint;
  readonly number: number;
  readonly path: string;
  readonly other: string;
  readonly data: Buffer;
};

type Untimed<Timed> = Timed extends Call ? Omit<Timed, "begin" | "end"> : never;

function callOf(kind: string, fields: Fields): Untimed<Call> {
  const { file, number, path, other, data } = fields;
  switch (kind) {
    case "o":
      return { kind: "open", file, path, flags: number };
    case "w":
      return { kind: "write", file, offset: number, data };
    case "a":
      return { kind: "write", file, offset: undefined, data };
    case "t":
      return { kind: "truncate", file, size: number };
    case "s":
      return { kind: "sync", file };
    case "r":
      return { kind: "rename", path, to: other };
    case "u":
      return { kind: "remove", path };
    case "m":
      return { kind: "mkdir", path };
    default:
      throw new Error(`the trace holds a record of the unknown kind ${kind}`);
  }
}
