"""The page at ``/``: is it on air, what is said, and a form to speak. No build step, no library."""

from __future__ import annotations

from flask import Blueprint, Response
from markupsafe import escape

from broadcaster.api.station import station_view

page = Blueprint("page", __name__)


@page.get("/")
def show_page() -> Response:
    """The page; everything that changes comes from ``/status`` and ``/tasks``."""
    view = station_view()
    options = "".join(f"<option>{escape(name)}</option>" for name in view.channels)
    name = str(escape(view.settings.station.name))
    text = _HTML.replace("@STATION@", name).replace("@CHANNELS@", options)
    response = Response(text, mimetype="text/html")
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    )
    return response


_HTML = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>@STATION@</title>
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2.5rem auto;
  padding: 0 1rem }
header { display: flex; align-items: center; gap: 1rem; justify-content: space-between }
h1 { font-size: 1.5rem; margin: 0 }
h2 { font-size: 1rem; margin: 2rem 0 .5rem }
#air { padding: .15rem .7rem; border-radius: 1rem; color: #fff; background: #777; font-weight: 600 }
#air.yes { background: #c1121f }
table { width: 100%; border-collapse: collapse }
td, th { text-align: left; padding: .35rem .5rem .35rem 0; border-bottom: 1px solid var(--line) }
th { font-weight: 600; font-size: .85rem; opacity: .7 }
form { display: flex; gap: .6rem; flex-wrap: wrap; align-items: center }
button { font: inherit; padding: .25rem .9rem; cursor: pointer }
.quiet { opacity: .7 }
</style>
<header><h1>@STATION@</h1><span id="air" role="status">…</span></header>
<p id="reason" class="quiet"></p>
<h2>Speak</h2>
<form id="speak">
  <input type="file" name="audio_file" accept="audio/*,video/*" required aria-label="Sound file">
  <select name="channel" aria-label="Channel">@CHANNELS@</select>
  <button>Say it on air</button>
  <button type="button" id="stop">Interrupt</button>
</form>
<p id="said" class="quiet" role="status"></p>
<h2>Channels</h2>
<table><thead><tr><th>Channel<th>On air<th>Destination<th>State<th>Last error</thead>
<tbody id="channels"></tbody></table>
<h2>Tasks</h2>
<table><thead><tr><th>File<th>State<th>Length<th>Remark</thead><tbody id="tasks"></tbody></table>
<script>
"use strict";
const $ = (id) => document.getElementById(id);
function row(cells) {
  const line = document.createElement("tr");
  for (const text of cells) line.insertCell().textContent = text ?? "";
  return line;
}
async function refresh() {
  try {
    const status = await (await fetch("status")).json();
    $("air").textContent = status.ready ? "ON AIR" : "OFF AIR";
    $("air").className = status.ready ? "yes" : "";
    $("reason").textContent = status.reason;
    $("channels").replaceChildren(...status.channels.flatMap((channel) =>
      channel.destinations.map((to) =>
        row([channel.name, channel.source, to.name, to.state, to.last_error]))));
    const { tasks } = await (await fetch("tasks?limit=20")).json();
    $("tasks").replaceChildren(...tasks.map((task) => row([
      task.file_name || task.task_id.slice(0, 8), task.state,
      task.duration_s === null ? "" : task.duration_s.toFixed(1) + " s",
      task.error || task.reason])));
  } catch {
    $("air").textContent = "NO ANSWER";
    $("air").className = "";
  }
}
async function send(url, body) {
  $("said").textContent = "…";
  try {
    const answer = await (await fetch(url, { method: "POST", body })).json();
    $("said").textContent = answer.error || answer.status.replaceAll("_", " ");
  } catch {
    $("said").textContent = "The station does not answer.";
  }
  refresh();
}
$("speak").addEventListener("submit", (event) => {
  event.preventDefault();
  send("generate_video", new FormData(event.target));
});
$("stop").addEventListener("click", () => {
  const body = new FormData();
  body.append("channel", $("speak").elements.channel.value);
  send("interrupt", body);
});
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 2000);
</script>
</html>
"""
