import { FragileFile } from "../../src/store/fragile-file.ts";

// node read-fragile.js FILE OFFSET LENGTH: writes what was read, and on standard error how much was not.
const [path = "", offset, length] = process.argv.slice(2);
const file = new FragileFile(path);
process.stdout.write(file.read(Number(offset), Number(length)));
process.stderr.write(String(file.unreadable));
file.close();
