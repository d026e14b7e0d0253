import { hash } from "node:crypto";
import { CLAIM_SCRIPT } from "./script.ts";
import { CLAIM_STYLE } from "./style.ts";

/** What of the gateway stands on the page. */
export type ClaimPlace = {
  readonly isClaimed: boolean;
  /** The account of the first devices, unless another is chosen. */
  readonly account: string;
  /** SHA-256 of the certificate of the CA to trust, `AB:CD:…`, if the box has one of its own. */
  readonly caSha256: string | undefined;
};

/**
 * The page on which a person claims the box, most often on a phone that has just read the QR code, and
 * which says what comes next. One document, nothing from elsewhere. The code may stand in the fragment,
 * which browsers never send. Where no script runs it says how to claim without.
 */
export function claimPage(place: ClaimPlace): { readonly html: string; readonly policy: string } {
  const sourceOf = (text: string): string => `'sha256-${hash("sha256", text, "base64")}'`;
  const policy = [
    "default-src 'none'",
    `style-src ${sourceOf(CLAIM_STYLE)}`,
    `script-src ${sourceOf(CLAIM_SCRIPT)}`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  return { html: htmlOf(place), policy };
}

function htmlOf({ isClaimed, account, caSha256 }: ClaimPlace): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${isClaimed ? "This gateway is claimed" : "Claim this gateway"}</title>
<style>${CLAIM_STYLE}</style>
</head>
<body>
<main>
${isClaimed ? CLAIMED : unclaimed(account)}
<section id="next"${isClaimed ? "" : " hidden"}>
${caSha256 === undefined ? "" : caPart(caSha256)}${devicePart(account, caSha256 !== undefined)}</section>
</main>
<script>${CLAIM_SCRIPT}</script>
</body>
</html>
`;
}

const CLAIMED = `<h1 id="title" tabindex="-1">This gateway is claimed</h1>
<p>It lets nobody in without a password or a credential. If the password is lost, or you do not know who claimed
it: <code>sudo sluice user list</code> and <code>sudo sluice user password NAME</code>, at the box.</p>`;

function unclaimed(account: string): string {
  return `<h1 id="title" tabindex="-1">Claim this gateway</h1>
<p id="intro">It is nobody’s yet, and does nothing until somebody claims it.</p>
<noscript><p>This page needs JavaScript. Without it, at the box, with the code that
<code>sudo sluice claim --show</code> prints:</p>
<pre>sudo curl --unix-socket /run/sluice/admin.sock \\
  http://localhost/gateway/claim \\
  -d '{"code": "…", "password": "…"}'</pre></noscript>
<form id="claim" method="post" novalidate hidden>
<label for="code">Claim code</label>
<input id="code" name="code" type="text" placeholder="ABCD-EFGH-IJ23" required maxlength="40" autocomplete="off"
  autocapitalize="characters" autocorrect="off" spellcheck="false" enterkeyhint="next"
  aria-describedby="code-fault about-code">
<p class="fault" id="code-fault" role="alert"></p>
<small id="about-code">The gateway shows it on its console; <code>sudo sluice claim --show</code> does, too.</small>
<label for="password">Your new password</label>
<input id="password" name="password" type="password" required minlength="10" maxlength="256"
  autocomplete="new-password" autocapitalize="none" autocorrect="off" spellcheck="false" enterkeyhint="go"
  aria-describedby="password-fault about-password">
<p class="fault" id="password-fault" role="alert"></p>
<small id="about-password">At least 10 characters, and no common password. Four random words are good.</small>
<label class="inline"><input id="shown" type="checkbox">Show the password</label>
<details id="names">
<summary>Other names than admin and ${account}</summary>
<label for="user">Your user</label>
<input id="user" name="user" type="text" value="admin" maxlength="256" autocomplete="username"
  autocapitalize="none" autocorrect="off" spellcheck="false" aria-describedby="user-fault">
<p class="fault" id="user-fault" role="alert"></p>
<label for="account">Account of the first devices</label>
<input id="account" name="account" type="text" value="${account}" maxlength="256" autocomplete="off"
  autocapitalize="none" autocorrect="off" spellcheck="false" aria-describedby="account-fault about-account">
<p class="fault" id="account-fault" role="alert"></p>
<small id="about-account">The first part of all paths and topics: a site, a hall, a customer.</small>
</details>
<p class="fault" id="form-fault" role="alert"></p>
<button type="submit">Claim it</button>
</form>
<dl id="yours" hidden>
<dt>Your user</dt><dd class="user"></dd>
<dt>Account of your devices</dt><dd class="account"></dd>
<dt>Address</dt><dd class="origin"></dd>
</dl>`;
}

function caPart(caSha256: string): string {
  return `<h2>Its certificate</h2>
<p>No browser and no device knows this gateway yet. They trust it once they have its CA:</p>
<p><a class="button" href="/ca.crt" download>Get ca.crt</a></p>
<p>SHA-256 of the CA. The gateway shows the same on its console, and <code>sudo sluice status</code> does:</p>
<p class="fingerprint">${caSha256.replaceAll(":", ":<wbr>")}</p>
`;
}

/** What may differ is marked, for the script to put in. */
function devicePart(account: string, hasCa: boolean): string {
  const curl = `curl ${hasCa ? "--cacert ca.crt " : ""}-u <b class="user">admin</b>`;
  return `<h2>The first device</h2>
<p>On a computer${hasCa ? ", beside <code>ca.crt</code>" : ""}; curl asks for the password:</p>
<pre>BOX=<b class="origin">https://…</b>/<b class="account">${account}</b>
${curl} "$BOX/things" \\
  -d '{"id": "boiler", "properties": {"temperature": {"type": "number"}}}'
${curl} "$BOX/mqtt?card=json" \\
  -d '{"resources": [{"entity": "things", "id": ["boiler"]}]}'</pre>
<p>The second prints all that the device has to know: address, user, password and topics.</p>
`;
}
