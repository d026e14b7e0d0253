/** Of the claim page: for a phone in one hand, in light and dark, in whatever size of text is set. */
export const CLAIM_STYLE = `
:root { color-scheme: light dark; font: 1.0625rem/1.5 system-ui, sans-serif;
  --edge: #767676; --act: #0b57d0; --on-act: #fff; --wrong: #b3261e; --quiet: #f1f3f4; }
@media (prefers-color-scheme: dark) {
  :root { --edge: #8e918f; --act: #a8c7fa; --on-act: #062e6f; --wrong: #f2b8b5; --quiet: #2a2b2e; }
}
*, ::before { box-sizing: border-box; }
[hidden] { display: none; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 28rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .5rem; outline: none; }
h2 { font-size: 1.125rem; line-height: 1.3; margin: 2rem 0 .25rem; }
p { margin: .25rem 0 .75rem; }
label { display: block; font-weight: 600; margin-top: 1.25rem; }
small { display: block; margin: .25rem 0 0; font-size: .875rem; }
code, pre, .fingerprint, #code { font-family: ui-monospace, monospace; }
code { font-size: .9375em; }
input { width: 100%; min-height: max(2.75rem, 44px); margin: .25rem 0 0; padding: .5rem .75rem; font: inherit;
  border: 1px solid var(--edge); border-radius: .5rem; background: Field; color: FieldText; }
#code { letter-spacing: .08em; text-transform: uppercase; }
label.inline { display: flex; gap: .75rem; align-items: center; min-height: max(2.75rem, 44px); margin: .25rem 0 0;
  font-weight: 400; }
label.inline input { flex: none; width: 1.375rem; min-height: 1.375rem; margin: 0; accent-color: var(--act); }
summary { padding: .6rem 0; min-height: max(2.75rem, 44px); cursor: pointer; }
details label:first-of-type { margin-top: .25rem; }
button, .button { display: flex; align-items: center; justify-content: center; width: 100%; min-height: 3rem; padding: .6rem 1rem; border: 0; border-radius: .5rem;
  background: var(--act); color: var(--on-act); font: inherit; font-weight: 600; text-decoration: none;
  cursor: pointer; }
button { margin-top: 1rem; }
button:disabled { opacity: .6; cursor: default; }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px; }
[aria-invalid=true] { border: 2px solid var(--wrong); }
.fault { margin: .25rem 0 0; color: var(--wrong); font-weight: 600; }
.fault:empty { display: none; }
dl { margin: 1rem 0 0; }
dt { margin-top: .75rem; font-size: .875rem; }
dd { margin: 0; font-weight: 600; }
pre, .fingerprint { margin: .25rem 0 .75rem; padding: .75rem; border-radius: .5rem; background: var(--quiet);
  font-size: .875rem; white-space: pre-wrap; }
.fingerprint { white-space: normal; overflow-wrap: normal; }
pre b { font-weight: inherit; }
`;
