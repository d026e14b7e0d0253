/**
 * At most so many UTF-16 units of a text that somebody else chose, to be kept. A slice would keep all of
 * the text in memory: V8 makes a view of it, so that a megabyte would be held for a few letters.
 */
export function keptText(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text;
  return Buffer.from(text.slice(0, lengthMax), "utf16le").toString("utf16le");
}
