/** Whatever can be tapped and is smaller than a fingertip, and whatever is wider than the screen. */
export const MISFITS = `(() => {
  const misfits = [];
  for (const found of document.querySelectorAll("input, button, summary, a, body *")) {
    const { width, height, left, right } = found.getBoundingClientRect();
    if (width === 0) continue;
    const name = found.outerHTML.slice(0, 60);
    if (left < 0 || right > screen.width) misfits.push(name + " is out of the screen");
    const target = found.closest("label") ?? found;
    if (found.matches("input, button, summary, a")) {
      if (target.getBoundingClientRect().height < 44 || width < 20) misfits.push(name + " is small");
    }
  }
  if (document.scrollingElement.scrollWidth > screen.width) misfits.push("it scrolls sideways");
  return misfits;
})()`;

/** Text and what is behind it, as WCAG 2.2 SC 1.4.3 counts it: whatever has less than 4.5 to 1. */
export const FAINT = `(() => {
  const light = (rgb) => rgb.map((part) => part / 255)
    .map((part) => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [.2126, .7152, .0722][index], 0);
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const behind = (node) => {
    const chain = [];
    for (let at = node; at; at = at.parentElement) chain.unshift(getComputedStyle(at).backgroundColor);
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    for (const color of [isDark ? "#121212" : "#fff", ...chain]) {
      pen.fillStyle = color;
      pen.fillRect(0, 0, 1, 1);
    }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const faint = [];
  for (const found of document.querySelectorAll("body *")) {
    if (found.getBoundingClientRect().width === 0 || found.matches("script, style")) continue;
    const back = behind(found);
    pen.fillStyle = getComputedStyle(found).color;
    pen.fillRect(0, 0, 1, 1);
    const [a, b] = [light([...pen.getImageData(0, 0, 1, 1).data].slice(0, 3)), light(back)];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) faint.push(found.outerHTML.slice(0, 60) + ": " + ratio.toFixed(2));
  }
  return faint;
})()`;
