/**
 * Resolves when all that the event loop has read in this turn is handled. Answers that wait for it
 * leave right after each other: one that leaves alone wakes its reader alone, and that costs the
 * kernel more than all the rest of a GET.
 */
export function turnEnds(): () => Promise<void> {
  let end: Promise<void> | undefined;
  return async () => {
    end ??= new Promise((resolve) => {
      setImmediate(() => {
        end = undefined;
        resolve();
      });
    });
    await end;
  };
}
