import { renderSVG, renderUnicodeCompact } from "uqr";

/** A text as a QR code for a terminal: two rows a line, dark on light with a quiet zone around it. */
export function terminalQr(text: string): string {
  return renderUnicodeCompact(text, { border: 2 });
}

/** Bytes of UTF-8 that the largest code (version 40, level L) holds for certain: ISO/IEC 18004 §7.4. */
export const QR_BYTES_MAX = 2_953;

/** A text as a QR code in an SVG image, with the quiet zone of four modules that readers ask for. */
export function svgQr(text: string): string {
  return renderSVG(text, { border: 4, boostEcc: true });
}
