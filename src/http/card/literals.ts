/**
 * How a text is written in each language, so that what is read there is this text and nothing else is
 * done. Texts are any but those with NUL, which MQTT has none of [MQTT-1.5.3-2].
 */

/** For any shell: within single quotes nothing has a meaning. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * For a file of variables that shells, systemd and the libraries called dotenv read. Those take single
 * quotes as they are and know of no way to have one inside: only such a text gets double ones.
 */
export function envValue(text: string): string {
  return text.includes("'") ? `"${text.replaceAll(/["$\\`]/g, "\\$&")}"` : `'${text}'`;
}

/** For C and C++: ASCII but for the octal escapes, of three digits so that none runs on. */
export function cString(text: string): string {
  return `"${escapeBytes(text, /["\\?]/, (byte) => byte.toString(8).padStart(3, "0"))}"`;
}

/** For Python, a `str`: JSON's escapes are Python's, too. */
export function pythonString(text: string): string {
  return JSON.stringify(text);
}

/** For Python, `bytes` in UTF-8. */
export function pythonBytes(text: string): string {
  return `b"${escapeBytes(text, /["\\]/, (byte) => `x${byte.toString(16).padStart(2, "0")}`)}"`;
}

function escapeBytes(text: string, special: RegExp, code: (byte: number) => string): string {
  return Array.from(Buffer.from(text, "utf8"), (byte) => {
    const character = String.fromCharCode(byte);
    if (byte < 0x20 || byte > 0x7e) return `\\${code(byte)}`;
    return special.test(character) ? `\\${character}` : character;
  }).join("");
}

export function shellComment(lines: readonly string[]): string {
  return lines.map((line) => `# ${line}\n`).join("");
}

export function cComment(lines: readonly string[]): string {
  return lines.map((line) => `// ${line}\n`).join("");
}
