import { hash } from "node:crypto";

/**
 * The page on which a person claims the box, most often on a phone that has just read the QR code:
 * one document, nothing from elsewhere. The code may stand in the fragment, which browsers never send.
 */
export function claimPage(): { readonly html: string; readonly policy: string } {
  const sourceOf = (text: string): string => `'sha256-${hash("sha256", text, "base64")}'`;
  const policy = [
    "default-src 'none'",
    `style-src ${sourceOf(STYLE)}`,
    `script-src ${sourceOf(SCRIPT)}`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  return { html: HTML, policy };
}

const STYLE = `
:root { color-scheme: light dark; font: 1.0625rem/1.5 system-ui, sans-serif; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 26rem; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .5rem; }
p { margin: .25rem 0 1rem; }
label { display: block; font-weight: 600; margin-top: 1.25rem; }
small { display: block; margin: .25rem 0 0; }
input { box-sizing: border-box; width: 100%; min-height: 2.75rem; padding: .5rem .75rem; font: inherit;
  border: 1px solid #767676; border-radius: .375rem; background: Field; color: FieldText; }
#code { font-family: ui-monospace, monospace; letter-spacing: .08em; text-transform: uppercase; }
#code::placeholder { letter-spacing: .08em; }
label.inline { display: flex; gap: .625rem; align-items: center; min-height: 2.75rem; margin: 0;
  font-weight: 400; }
label.inline input { width: 1.25rem; min-height: 1.25rem; margin: 0; }
details { margin-top: .75rem; }
summary { min-height: 2.75rem; display: flex; align-items: center; cursor: pointer; }
button { width: 100%; min-height: 3rem; margin-top: 1.5rem; border: 0; border-radius: .375rem;
  background: #0b57d0; color: #fff; font: inherit; font-weight: 600; cursor: pointer; }
button:disabled { background: #5f6368; cursor: default; }
:focus-visible { outline: 3px solid #1a73e8; outline-offset: 2px; }
[aria-invalid=true] { border: 2px solid #b3261e; }
#told { margin-top: 1.25rem; min-height: 1.5rem; font-weight: 600; }
#told.wrong { color: #b3261e; }
@media (prefers-color-scheme: dark) { #told.wrong { color: #f2b8b5; } }
`;

const SCRIPT = `
"use strict";
const at = (id) => document.getElementById(id);
const form = at("claim"), code = at("code"), password = at("password"), told = at("told");
const button = form.querySelector("button");

function take() {
  if (location.hash.length < 2) return;
  try { code.value = decodeURIComponent(location.hash.slice(1)).slice(0, 40); } catch { return; }
  history.replaceState(null, "", location.pathname);
  password.focus();
}

function tell(text, wrong) {
  told.textContent = text;
  told.className = wrong ? "wrong" : "";
  for (const field of [code, password]) field.removeAttribute("aria-invalid");
  if (!wrong) return;
  wrong.setAttribute("aria-invalid", "true");
  wrong.focus();
}

function tellProblem(status, problem) {
  const first = (problem.errors || [])[0];
  switch (problem.code) {
    case "wrong-claim-code":
      return tell("That is not the code the gateway shows. It is new after each restart.", code);
    case "weak-password":
      return tell("The password " + (first ? first.detail : "is too easy to guess") + ".", password);
    case "claimed":
      return tell("Somebody has claimed this gateway already. Log in instead.", code);
    case "rate-limited":
      return tell("Too many attempts. Try again in a minute.", code);
    case "insecure-channel":
      return tell("Open this page by https, so that nobody can read the password.", code);
    default:
      return tell("It did not work: " + (problem.detail || "status " + status), code);
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (code.value.trim() === "") return tell("Type the code that the gateway shows.", code);
  if ([...password.value].length < 10) {
    return tell("The password must have at least 10 characters.", password);
  }
  const wanted = { code: code.value, password: password.value };
  for (const name of ["user", "account"]) {
    const value = at(name).value.trim();
    if (value !== "") wanted[name] = value;
  }
  button.disabled = true;
  tell("One moment\\u2026");
  try {
    const answer = await fetch("/gateway/claim", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(wanted),
    });
    const body = await answer.json();
    if (!answer.ok) return tellProblem(answer.status, body);
    password.value = "";
    form.hidden = true;
    at("intro").textContent = "From now on it lets nobody in without a password or a credential.";
    document.querySelector("h1").textContent = "This gateway is yours";
    tell("Your user is " + body.user + ", the account of your devices is " + body.account + ".");
    told.focus();
  } catch {
    tell("The gateway did not answer. Are you still connected to it?", code);
  } finally {
    button.disabled = false;
  }
});

at("shown").addEventListener("change", (event) => {
  password.type = event.target.checked ? "text" : "password";
});
addEventListener("hashchange", take);
take();
`;

const HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Claim this gateway</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>Claim this gateway</h1>
<p id="intro">It is nobody's yet, and does nothing until somebody claims it.</p>
<form id="claim" novalidate>
<label for="code">Claim code</label>
<input id="code" name="code" type="text" placeholder="ABCD-EFGH-IJ23" required autocomplete="off"
  autocapitalize="characters" autocorrect="off" spellcheck="false" aria-describedby="about-code">
<small id="about-code">The gateway shows it on its console; <code>sluice claim --show</code> does, too.</small>
<label for="password">Your new password</label>
<input id="password" name="password" type="password" required minlength="10" maxlength="256"
  autocomplete="new-password" aria-describedby="about-password">
<small id="about-password">At least 10 characters, and no common password. Four random words are good.</small>
<label class="inline"><input id="shown" type="checkbox">Show the password</label>
<details>
<summary>Names</summary>
<label for="user">Your user</label>
<input id="user" name="user" type="text" placeholder="admin" autocomplete="username"
  autocapitalize="none" spellcheck="false">
<label for="account">Account of the first devices</label>
<input id="account" name="account" type="text" placeholder="site" autocomplete="off"
  autocapitalize="none" spellcheck="false" aria-describedby="about-account">
<small id="about-account">The first part of all paths and topics: a site, a hall, a customer.</small>
</details>
<button type="submit">Claim it</button>
</form>
<p id="told" role="alert" tabindex="-1"></p>
</main>
<script>${SCRIPT}</script>
<noscript><p>This page needs JavaScript. Without: <code>POST /gateway/claim</code>, as the manual says.</p></noscript>
</body>
</html>
`;
