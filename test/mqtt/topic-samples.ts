import fc from "fast-check";

/** Few names and levels, so that filters, topics and those taken away again meet often. */
const name = fc.constantFrom("", "a", "$a");

export const topics = fc
  .array(name, { minLength: 1, maxLength: 3 })
  .map((levels) => levels.join("/"))
  .filter((topic) => topic !== "");

export const filters = fc
  .tuple(
    fc.array(fc.oneof({ weight: 3, arbitrary: name }, fc.constant("+")), { maxLength: 3 }),
    fc.boolean(),
  )
  .map(([levels, hasTail]) => [...levels, ...(hasTail ? ["#"] : [])].join("/"))
  .filter((filter) => filter !== "");

/** §4.7 put plainly, so that the tries are not compared with themselves. */
export function naiveMatch(filter: string, topic: string): boolean {
  if (topic.startsWith("$") && /^[+#]/.test(filter)) return false;
  const wanted = filter.split("/");
  const levels = topic.split("/");
  const hasTail = wanted.at(-1) === "#";
  if (hasTail) wanted.pop();
  if (hasTail ? levels.length < wanted.length : levels.length !== wanted.length) return false;
  return wanted.every((level, index) => level === "+" || level === levels[index]);
}
