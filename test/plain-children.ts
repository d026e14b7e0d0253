/**
 * Loaded into each test file's process (.taprc). Coverage is off, yet tap would load its tracer into
 * every process that a test starts: half a daemon's start. A daemon under test runs as it is shipped.
 */
import processOnSpawn from "process-on-spawn";

processOnSpawn.removeAllListeners();
