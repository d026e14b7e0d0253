import type { GatewayError } from "../errors.ts";
import type { Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { JsonObject } from "../thing/json.ts";
import { formatTime } from "../thing/time.ts";

/** `{"topic", "code", "detail", "timestamp"}`: what `errors` says of a publish that was refused. */
export function refusalReport(
  clock: Pick<Clock, "wallMs">,
  topic: string,
  { code, message }: GatewayError,
): JsonObject {
  return {
    topic: shortened(topic),
    code,
    detail: shortened(message),
    timestamp: formatTime(clock.wallMs()),
  };
}

/** A detail may repeat the topic. */
function shortened(text: string): string {
  const most = FIXED_LIMITS.errorReportTextLengthMax;
  return text.length <= most ? text : `${text.slice(0, most).toWellFormed()}…`;
}
