// What happened: server-sent events, read by fetch, because EventSource cannot send a token.
"use strict";

const LOG_LINES = 60;
const LOG_RETRY_MS = 2000;
const EVENT_TEXTS = {
  started: "began", resumed: "went on", finished: "was said", interrupted: "was interrupted",
  failed: "failed", cancelled: "was cancelled", avatar_on_air: "presents now",
  avatar_refused: "cannot present", avatar_made: "is made", avatar_failed: "could not be made",
};
const EVENT_CLASSES = {
  started: "air", resumed: "air", finished: "good", failed: "bad", avatar_failed: "bad",
  avatar_made: "good", avatar_on_air: "air", avatar_refused: "bad",
};

const eventLog = { last: "", run: 0, abort: null };

// "event: x\ndata: {...}\nid: y" as one object; a comment gives nothing.
function parseEvent(block) {
  const fields = {};
  for (const line of block.split("\n")) {
    const at = line.indexOf(":");
    if (at > 0) fields[line.slice(0, at)] = line.slice(at + 1).trimStart();
  }
  return fields;
}

async function listen() {
  eventLog.abort?.abort();
  eventLog.abort = new AbortController();
  const run = ++eventLog.run;
  const channel = encodeURIComponent($("channel").value);
  while (run === eventLog.run) {
    try {
      const headers = eventLog.last ? { "Last-Event-ID": eventLog.last } : {};
      const signal = eventLog.abort.signal;
      const answer = await ask(`events?channel=${channel}`, { headers, signal });
      if (answer.ok) await follow(answer.body.pipeThrough(new TextDecoderStream()), run);
    } catch { /* again below */ }
    await new Promise((done) => setTimeout(done, LOG_RETRY_MS));
  }
}

async function follow(stream, run) {
  const reader = stream.getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done || run !== eventLog.run) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const { id, event, data } of blocks.map(parseEvent)) {
      if (!event || !data) continue;
      eventLog.last = id || eventLog.last;
      showEvent(kindOf(event, JSON.parse(data)), JSON.parse(data));
    }
  }
}

function kindOf(event, { state }) {
  if (event !== "avatar") return event;
  return state === "failed" ? "avatar_refused" : "avatar_on_air";
}

function showEvent(kind, told) {
  const row = document.createElement("li");
  const at = new Date(told.at);
  const time = make("time", "quiet", at.toLocaleTimeString([], { hour12: false }));
  time.dateTime = told.at;
  time.title = at.toLocaleString();
  const what = told.avatar || names.get(told.task_id) || (told.task_id || "").slice(0, 8);
  const state = make("span", `state ${EVENT_CLASSES[kind] || ""}`, EVENT_TEXTS[kind] || kind.replaceAll("_", " "));
  row.append(time, make("span", "name", what), state);
  if (told.reason && told.reason !== kind) row.append(make("span", "remark", told.reason));
  $("log").prepend(row);
  while ($("log").children.length > LOG_LINES) $("log").lastElementChild.remove();
  $("no-events").hidden = true;
}
