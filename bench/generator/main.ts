import { runHttp } from "./http.ts";
import type { Job, Marks, Report, Result } from "./job.ts";
import { openAll, runLoad } from "./load.ts";
import { pause } from "./pace.ts";
import { runRetained } from "./retained.ts";

// One job for one process: given as the first message, answered with reports.

const marks: Marks = {
  started: () => report({ event: "started" }),
  ended: () => report({ event: "ended" }),
};

process.once("message", (job: Job) => {
  run(job).then(
    (result) => report({ event: "result", result }),
    (error: unknown) => {
      const because = error instanceof Error ? error.message : String(error);
      report({ event: "failed", because });
    },
  );
});

async function run(job: Job): Promise<Result> {
  switch (job.kind) {
    case "load":
      return runLoad(job, marks);
    case "retained":
      return runRetained(job, marks);
    case "http":
      return runHttp(job, marks);
    case "idle":
      await openAll(job.endpoint, job.connections, "idle");
      marks.started();
      await pause(job.holdMs);
      marks.ended();
      return { kind: "idle" };
  }
}

function report(said: Report): void {
  process.send?.(said);
}
