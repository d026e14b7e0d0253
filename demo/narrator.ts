import { performance } from "node:perf_hooks";

/** Says what happens, a line each, with the seconds since the start. */
export type Narrator = {
  readonly say: (who: string, what: string) => void;
  readonly elapsedS: () => number;
};

const NAME_WIDTH = 9;

/** `asJson`: one object a line, for programs. */
export function makeNarrator(options: {
  readonly asJson: boolean;
  readonly write: (text: string) => void;
}): Narrator {
  const startedMs = performance.now();
  const elapsedS = (): number => (performance.now() - startedMs) / 1_000;
  const say = (who: string, what: string): void => {
    const at = elapsedS().toFixed(3);
    const line = options.asJson
      ? JSON.stringify({ at: Number(at), who, what })
      : `${at.padStart(7)} s  ${who.padEnd(NAME_WIDTH)}  ${what}`;
    options.write(`${line}\n`);
  };
  return { say, elapsedS };
}
