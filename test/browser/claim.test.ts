import { createHash, X509Certificate } from "node:crypto";
import { test, type Test } from "tap";
import { Daemon, daemonEnvironment } from "../daemon.ts";
import { needs } from "../systemd/programs.ts";
import { openPage } from "./chromium.ts";
import { FAINT, MISFITS } from "./measures.ts";
import { PHONE, type Page } from "./page.ts";

const PASSWORD = "kettle orbit 41";

type Box = {
  readonly page: Page;
  readonly url: string;
  readonly code: string;
  readonly ca: X509Certificate;
};

/** An unclaimed box on the network, as it is when it comes out of its parcel, and a phone. */
async function openBox(t: Test): Promise<Box> {
  const daemon = new Daemon(t, [], {
    ...daemonEnvironment(t),
    ...{ SLUICE_TLS__HOST: "0.0.0.0", SLUICE_TLS__MQTT_PORT: "0", SLUICE_TLS__HTTPS_PORT: "0" },
  });
  const { httpPort, httpsPort = 0 } = await daemon.ready;
  const pem = await (await fetch(`http://127.0.0.1:${httpPort}/ca.crt`)).text();
  const ca = new X509Certificate(pem);
  const key = ca.publicKey.export({ type: "spki", format: "der" });
  const page = await openPage(t, createHash("sha256").update(key).digest("base64"));
  const code = await daemon.printed(/^claim code: (\S+)$/m);
  return { page, url: `https://127.0.0.1:${httpsPort}/ui/claim`, code, ca };
}

const shownText = async (page: Page): Promise<string> => page.value("document.body.innerText");

async function fits(t: Test, page: Page, name: string): Promise<void> {
  t.same(await page.value(MISFITS), [], `${name}: all of it can be read and tapped`);
  t.same(await page.value(FAINT), [], `${name}: nothing is faint`);
}

/** Small screens, large text, darkness, and where no script runs. */
async function fitsEverywhere(t: Test, { page, url }: Box): Promise<void> {
  for (const [name, screen, fontSize] of [
    ["a small screen", { width: 320, height: 568 }, ""],
    ["a screen on its side", { width: 844, height: 390 }, ""],
    ["text twice as large", PHONE, "200%"],
    ["in the dark", { ...PHONE, isDark: true }, ""],
  ] as const) {
    await page.show(screen);
    await page.open(url);
    await page.value(`document.documentElement.style.fontSize = "${fontSize}"`);
    await page.value("document.getElementById('names').open = true");
    await page.value("document.getElementById('next').hidden = false");
    await fits(t, page, name);
  }
  await page.show({ ...PHONE, hasScripts: false });
  await page.open(url);
  t.match(await shownText(page), /needs JavaScript[^]*sudo curl --unix-socket/);
  t.equal(await page.value("document.querySelector('form').offsetHeight"), 0);
  t.same(await page.value(MISFITS), [], "without scripts");
  await page.show(PHONE);
}

/** A keyboard, a keeper of passwords and a reader of screens know what each field is. */
async function isDescribed(t: Test, { page, url }: Box): Promise<void> {
  await page.open(url);
  const fields = `[...document.querySelectorAll("input")].map((input) =>
    [input.labels.length, input.id, input.autocomplete, input.autocapitalize, input.spellcheck])`;
  t.same(await page.value(fields), [
    [1, "code", "off", "characters", false],
    [1, "password", "new-password", "none", false],
    [1, "shown", "", "", true],
    [1, "user", "username", "none", false],
    [1, "account", "off", "none", false],
  ]);
}

/** The code comes with the address of a QR code, and stays in none. */
async function takesTheCode(t: Test, { page, url, code }: Box): Promise<void> {
  await page.open(`${url}#${code}`);
  t.equal(await page.value("document.getElementById('code').value"), code);
  t.equal(await page.value("document.activeElement.id"), "password");
  t.equal(await page.value("location.href"), url);
}

/** What is wrong stands in plain words at its field, in sight, and the field has the focus. */
async function saysWhatIsWrong(t: Test, { page, code }: Box): Promise<void> {
  for (const [field, typed, password, told] of [
    ["code", "", PASSWORD, "Type the code that the gateway shows."],
    ["code", "aaaa-bbbb-cccc", PASSWORD, "That is not the code the gateway shows."],
    ["password", code, "short", "The password must have at least 10 characters."],
    ["password", code, "password123", "The password is one of the commonest passwords"],
    ["account", code, PASSWORD, '"gateway" cannot be the name of an account'],
  ] as const) {
    await page.type("#code", typed);
    await page.type("#password", password);
    if (field === "account") await page.tap("summary");
    if (field === "account") await page.type("#account", "gateway");
    await page.tap("button");
    const fault = `document.getElementById("${field}-fault")`;
    await page.until(`${fault}.textContent.startsWith(${JSON.stringify(told)})`);
    t.equal(await page.value("document.activeElement.id"), field, told);
    t.equal(await page.value("document.querySelectorAll('[aria-invalid]').length"), 1, told);
    t.ok(await page.value(`${fault}.getBoundingClientRect().bottom < innerHeight`), "in sight");
    await fits(t, page, told);
  }
}

/** With the names that were chosen, and the CA that can be compared. */
async function saysWhatComesNext(t: Test, { page, url, ca }: Box): Promise<void> {
  await fits(t, page, "what comes next");
  const text = await shownText(page);
  const { origin } = new URL(url);
  for (const told of ["anna", "plant", `BOX=${origin}/plant`, "-u anna", ca.fingerprint256]) {
    t.ok(text.includes(told), `it says ${told}`);
  }
  const got = await page.value<string>(
    "fetch(document.querySelector('a').href).then((answer) => answer.text())",
  );
  t.equal(new X509Certificate(got).fingerprint256, ca.fingerprint256, "the link gives the CA");
}

await test(
  "a person claims the box on a phone, whatever goes wrong first",
  needs("chromium"),
  async (t) => {
    const box = await openBox(t);
    const { page, url } = box;
    await fitsEverywhere(t, box);
    await isDescribed(t, box);
    await takesTheCode(t, box);
    t.same(page.complaints, [], "the page does nothing that its policy blocks");
    await saysWhatIsWrong(t, box);
    await page.tap("#shown");
    await page.until("document.getElementById('password').type === 'text'");
    await page.type("#user", "anna");
    await page.type("#account", "plant");
    await page.press("Enter");
    await page.until("document.title === 'This gateway is yours'");
    await saysWhatComesNext(t, box);
    t.notMatch(await page.value("document.documentElement.outerHTML"), PASSWORD);

    await page.open(url);
    t.equal(await page.value("document.querySelector('form')"), null, "nothing is left to claim");
    t.match(await shownText(page), /^This gateway is claimed\n[^]*sudo sluice user password NAME/);
    await fits(t, page, "the page of a claimed box");
    const refusals = page.complaints.filter((told) => /status of 40[03]/.test(told));
    t.same(page.complaints, refusals, "nothing was thrown or blocked");
    const { origin } = new URL(url);
    const elsewhere = page.requests.filter((asked) => !asked.startsWith(`${origin}/`));
    t.same(elsewhere, [], "nobody else was asked");
  },
);
