import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export type Pem = {
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
};

/** An authority made for one test, by `openssl` as an operator would. */
export class Authority {
  readonly #folder: string;
  readonly own: Pem;

  constructor(folder: string, name: string) {
    this.#folder = folder;
    const keyFile = join(folder, `${name}.key`);
    const certFile = join(folder, `${name}.crt`);
    const subject = ["-subj", `/CN=${name}`, "-days", "3650"];
    openssl(["req", "-x509", ...NEW_KEY, "-keyout", keyFile, "-out", certFile, ...subject]);
    this.own = read(certFile, keyFile);
  }

  /** `names`: as `DNS:broker.test` or `IP:127.0.0.1`; none for a client. */
  issue(name: string, names: readonly string[] = [], days = 3650): Pem {
    const file = (ending: string): string => join(this.#folder, `${name}.${ending}`);
    openssl([
      "req",
      ...NEW_KEY,
      "-keyout",
      file("key"),
      "-out",
      file("csr"),
      "-subj",
      `/CN=${name}`,
    ]);
    writeFileSync(file("ext"), names.length === 0 ? "" : `subjectAltName=${names.join(",")}\n`);
    const { certFile, keyFile } = this.own;
    const by = ["-CA", certFile, "-CAkey", keyFile, "-CAcreateserial", "-extfile", file("ext")];
    const asked = ["-in", file("csr"), "-out", file("crt"), "-days", String(days)];
    openssl(["x509", "-req", ...by, ...asked]);
    return read(file("crt"), file("key"));
  }
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

function openssl(args: readonly string[]): void {
  execFileSync("openssl", [...args], { stdio: "pipe" });
}

function read(certFile: string, keyFile: string): Pem {
  return {
    cert: readFileSync(certFile, "utf8"),
    key: readFileSync(keyFile, "utf8"),
    certFile,
    keyFile,
  };
}
