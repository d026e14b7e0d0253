/** Of the claim page: what it does in the browser. Texts of others stand in it as text only. */
export const CLAIM_SCRIPT = `
"use strict";
const at = (id) => document.getElementById(id);
const fill = (name, text) => {
  for (const place of document.getElementsByClassName(name)) place.textContent = text;
};
const FIELDS = ["code", "password", "user", "account"];

/** What is wrong stands at the field that it is about, where a keyboard does not cover it. */
function tell(text, field) {
  for (const name of [...FIELDS, "form"]) at(name + "-fault").textContent = "";
  for (const name of FIELDS) at(name).removeAttribute("aria-invalid");
  if (text === undefined) return;
  at((field || "form") + "-fault").textContent = text;
  if (field === undefined) return;
  if (field === "user" || field === "account") at("names").open = true;
  at(field).setAttribute("aria-invalid", "true");
  at(field).focus();
}

function tellProblem(answer, problem) {
  const first = (problem.errors || [])[0] || {};
  const field = FIELDS.find((name) => first.pointer === "/" + name);
  const wait = Number(answer.headers.get("retry-after")) || 60;
  switch (problem.code) {
    case "wrong-claim-code":
      return tell("That is not the code the gateway shows. It is new after each restart.", "code");
    case "weak-password":
      return tell("The password " + (first.detail || "is too easy to guess") + ".", "password");
    case "claimed":
      return tell("Somebody has claimed this gateway already. If that was you, and the answer was lost " +
        "on its way: your password is the one you typed.");
    case "rate-limited":
      return tell("Too many attempts. Try again in " + wait + " seconds.");
    case "insecure-channel":
      return tell("Open this page by https, so that nobody can read the password.");
    default:
      if (field) return tell((/^must/.test(first.detail) ? "It " : "") + first.detail + ".", field);
      return tell("It did not work: " + (problem.detail || "status " + answer.status));
  }
}

function welcome({ user, account }) {
  fill("user", user);
  fill("account", account);
  at("password").value = "";
  at("claim").hidden = true;
  at("yours").hidden = at("next").hidden = false;
  at("title").textContent = document.title = "This gateway is yours";
  at("intro").textContent = "From now on it lets nobody in without a password or a credential.";
  at("title").focus();
  scrollTo(0, 0);
}

async function claim(event) {
  event.preventDefault();
  const wanted = Object.fromEntries(FIELDS.map((name) => [name, at(name).value]));
  for (const name of ["user", "account"]) {
    wanted[name] = wanted[name].trim();
    if (wanted[name] === "") delete wanted[name];
  }
  if (wanted.code.trim() === "") return tell("Type the code that the gateway shows.", "code");
  if ([...wanted.password].length < 10) {
    return tell("The password must have at least 10 characters.", "password");
  }
  tell();
  const button = at("claim").querySelector("button");
  button.disabled = true;
  button.textContent = "One moment…";
  try {
    const answer = await fetch("/gateway/claim", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(wanted),
    });
    const body = await answer.json();
    if (answer.ok) welcome(body);
    else tellProblem(answer, body);
  } catch {
    tell("The gateway did not answer. Are you still connected to it?");
  } finally {
    button.disabled = false;
    button.textContent = "Claim it";
  }
}

/** The code of a QR code; it does not stay in the address, nor in the history. */
function takeCode() {
  if (location.hash.length < 2) return;
  try { at("code").value = decodeURIComponent(location.hash.slice(1)).slice(0, 40); } catch { return; }
  history.replaceState(null, "", location.pathname);
  at("password").focus();
}

fill("origin", location.origin);
if (at("claim")) {
  at("claim").hidden = false;
  at("claim").addEventListener("submit", claim);
  at("shown").addEventListener("change", ({ target }) => {
    at("password").type = target.checked ? "text" : "password";
  });
  addEventListener("hashchange", takeCode);
  takeCode();
}
`;
