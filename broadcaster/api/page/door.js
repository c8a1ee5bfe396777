// Every request of the page goes through here, with the token where the station wants one.
"use strict";

const $ = (id) => document.getElementById(id);
const settings = JSON.parse(document.body.dataset.settings);
const NO_ANSWER = "The station does not answer.";

// Only for this tab: whoever opens the browser next has to know the token again.
let token = "";
try { token = sessionStorage.getItem("token") || ""; } catch { /* private mode */ }

async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  return noticed(await fetch(path, { ...options, headers }));
}

// As ask, for a form with a file: only the older kind of request tells how much of it is sent.
function upload(path, form, tellPart) {
  return new Promise((done, lost) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.upload.addEventListener("progress", ({ loaded, total }) => tellPart(loaded / total));
    request.addEventListener("load", () => {
      done(noticed(new Response(request.responseText, { status: request.status })));
    });
    request.addEventListener("error", lost);
    request.send(form);
  });
}

function noticed(answer) {
  if (answer.status === 401) wantToken();
  else if (answer.ok) $("sign-in").hidden = true;
  return answer;
}

async function getJson(path) {
  const answer = await ask(path, { signal: AbortSignal.timeout(5000) });
  const told = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(told.error || ""), { status: answer.status });
  return told;
}

// Asked for once, and again after a wrong one; later there is a button, so that a page that is only looked at is left alone.
function wantToken() {
  const first = $("sign-in").hidden;
  $("sign-in").hidden = false;
  if (first && !$("token-dialog").open) openToken();
}

function openToken() {
  $("token").value = "";
  $("token-fault").textContent = token ? "This token is not accepted (any more)." : "";
  $("token-dialog").showModal();
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  try { sessionStorage.setItem("token", token); } catch { /* private mode */ }
  $("token-dialog").close();
  $("sign-in").hidden = true;
  dispatchEvent(new Event("token"));
});
$("token-later").addEventListener("click", () => $("token-dialog").close());
$("sign-in").addEventListener("click", openToken);

/* ---- what the station answered ------------------------------------------------------------------ */

function say(text, bad, place = "said") {
  $(place).textContent = text;
  $(place).classList.toggle("bad", Boolean(bad));
}

// A request that changes something: its outcome is said. Gives the answer's JSON, or null.
async function send(path, method, body, { headers, place } = {}) {
  say("…", false, place);
  try {
    const part = (sent) => say(sent < 1 ? `Sending: ${Math.floor(sent * 100)} %` : "…", false, place);
    const isForm = body instanceof FormData;
    const answer = await (isForm ? upload(path, body, part) : ask(path, { method, body, headers }));
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      say(told.error || `The station refused it (${answer.status}).`, true, place);
      return null;
    }
    say(String(told.status || told.state || "done").replaceAll("_", " "), false, place);
    return told;
  } catch {
    say(NO_ANSWER, true, place);
    return null;
  } finally {
    refresh();
  }
}

// Refused here: the station would end the connection in the middle of a body that is too large.
function isTooLarge(file, mostMb, place) {
  const tooLarge = file.size > mostMb * 2 ** 20;
  if (tooLarge) say(`${file.name} is larger than ${mostMb} MB.`, true, place);
  return tooLarge;
}

/* ---- small things that every part needs --------------------------------------------------------- */

function make(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className || "";
  made.textContent = text ?? "";
  return made;
}

function button(text, act, className) {
  const made = make("button", className, text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}
