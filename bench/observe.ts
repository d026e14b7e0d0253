import { fileURLToPath } from "node:url";
import type { Job, Report, Result } from "./generator/job.ts";
import { Program } from "./processes.ts";
import { Watch, type Observed } from "./watch.ts";

const GENERATOR = fileURLToPath(new URL("./generator/main.js", import.meta.url));

type ResultOf<Of extends Job> = Extract<Result, { readonly kind: Of["kind"] }>;

/**
 * Runs a job in a generator of its own, and looks at the broker while it measures.
 * @throws Error with what the generator said if it failed.
 */
export async function observe<Of extends Job>(
  broker: Program,
  job: Of,
  counter?: () => number,
): Promise<Observed<ResultOf<Of>>> {
  const generator = new Program("generator", [process.execPath, GENERATOR], { ipc: true });
  const watched = { broker: () => broker, generator };
  const watch = new Watch(counter === undefined ? watched : { ...watched, counter });
  try {
    return await new Promise((resolve, reject) => {
      generator.child.on("message", (report: Report) => {
        if (report.event === "started") watch.begin();
        else if (report.event === "ended") watch.end();
        else if (report.event === "failed") reject(new Error(report.because));
        else if (isOf(report.result, job)) resolve({ value: report.result, seen: watch.seen });
      });
      void generator.ended.then(() => reject(new Error(`the generator ended: ${generator.said}`)));
      void broker.ended.then(() => reject(new Error(`the broker ended: ${broker.said}`)));
      generator.child.send(job);
    });
  } finally {
    watch.end();
    generator.kill();
    await generator.ended;
  }
}

function isOf<Of extends Job>(result: Result, job: Of): result is ResultOf<Of> {
  return result.kind === job.kind;
}
