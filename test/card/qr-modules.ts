/** The modules of an image, row by row; its rectangles are the dark ones. */
export function modulesOf(svg: string): string {
  const size = Number(/viewBox="0 0 (\d+) /.exec(svg)?.[1]) / 10;
  const rows = Array.from({ length: size }, () => Array<string>(size).fill("0"));
  for (const [, x, y] of svg.matchAll(/M(\d+),(\d+)h10v10h-10z/g)) {
    const row = rows[Number(y) / 10];
    if (row !== undefined) row[Number(x) / 10] = "1";
  }
  return rows.map((row) => `${row.join("")}\n`).join("");
}
