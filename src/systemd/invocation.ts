import { fstatSync } from "node:fs";

/**
 * Does systemd run this very process as a service? SYSTEMD_EXEC_PID tells it apart from a program
 * started in a session or a job that is itself a service and handed its environment down.
 */
export function runsAsService(env: NodeJS.ProcessEnv, pid: number): boolean {
  if (env["NOTIFY_SOCKET"] !== undefined) return true;
  const execPid = env["SYSTEMD_EXEC_PID"];
  if (execPid !== undefined) return execPid === String(pid);
  return env["INVOCATION_ID"] !== undefined || env["JOURNAL_STREAM"] !== undefined;
}

/** Is this file descriptor the stream to journald that JOURNAL_STREAM (`device:inode`) names? */
export function isJournalStream(env: NodeJS.ProcessEnv, fd: number): boolean {
  const named = env["JOURNAL_STREAM"];
  if (named === undefined) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return named === `${dev.toString()}:${ino.toString()}`;
  } catch {
    return false; // Closed: nobody reads it.
  }
}
