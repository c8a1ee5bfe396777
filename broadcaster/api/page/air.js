// What is on air: states, destinations, the queue.
"use strict";

const STATES = {
  on_air: ["on air", "good"], running: ["running", "good"], connecting: ["connecting", "busy"],
  waiting: ["waiting", "busy"], retrying: ["retrying", "bad"], failed: ["failed", "bad"],
};
const TASK_STATES = {
  queued: "", preparing: "busy", buffering: "busy", on_air: "air", done: "good", failed: "bad",
  cancelled: "",
};

function age(seconds) {
  const s = Math.max(0, Math.floor(seconds || 0));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

function showAir(text, className) {
  $("air").className = `badge ${className}`;
  if ($("air").textContent !== text) $("air").textContent = text; // told aloud once, not each second
}

function showStatus(status) {
  const channel = status.channels.find((each) => each.name === $("channel").value);
  showAir(status.ready ? "ON AIR" : "OFF AIR", status.ready ? "on" : "");
  $("reason").textContent = status.ready ? "" : status.reason;
  const viewers = status.preview ? status.preview.viewers : 0;
  $("viewers").textContent = viewers === 1 ? "1 viewer" : `${viewers} viewers`;
  $("viewers").hidden = !settings.preview;
  $("source").textContent = channel ? sourceText(channel) : "Nothing on air";
  $("destinations").replaceChildren(...(channel ? channel.destinations.map(destinationRow) : []));
}

function sourceText(channel) {
  if (channel.source === "task") return "Speaking";
  if (channel.source === "slate") return "Slate";
  return `Idle: ${channel.idle.state}`;
}

function destinationRow(destination) {
  const [text, className] = STATES[destination.state] || [destination.state.replaceAll("_", " "), ""];
  const row = document.createElement("tr");
  row.insertCell().textContent = destination.name;
  row.insertCell().append(make("span", `state ${className}`, text));
  row.insertCell().textContent = age(destination.since_s);
  row.insertCell().textContent = destination.last_error;
  return row;
}

const ACTIVE = ["on_air", "buffering", "preparing", "queued"];
const isActive = (task) => ACTIVE.includes(task.state);
const ENDED_SHOWN = 6;

// What is on air, what comes after it in its order, and then what is over, the newest first.
function inOrder(tasks) {
  const active = tasks.filter(isActive);
  active.sort((one, other) => (one.position ?? 0) - (other.position ?? 0));
  return [...active, ...tasks.filter((task) => !isActive(task)).slice(0, ENDED_SHOWN)];
}

function taskRow(task) {
  const row = document.createElement("li");
  const name = make("span", "name", task.text || task.file_name || task.task_id.slice(0, 8));
  name.title = name.textContent;
  row.append(name, make("span", `state ${TASK_STATES[task.state] ?? ""}`, task.state.replace("_", " ")));
  if (isActive(task)) {
    const drop = button("Cancel", () => send(`tasks/${task.task_id}`, "DELETE"), "drop");
    drop.setAttribute("aria-label", `Cancel ${name.textContent}`);
    row.append(drop);
  }
  if (task.state === "on_air") {
    const bar = make("progress", "", "");
    bar.value = task.progress;
    bar.setAttribute("aria-label", "Spoken so far");
    row.append(bar);
  }
  const length = task.duration_s === null ? "" : `${task.duration_s.toFixed(1)} s`;
  const remark = [length, task.error || task.reason].filter(Boolean).join(" · ");
  if (remark) row.append(make("span", "remark", remark));
  return row;
}

let shownTasks = "";
const MOST_NAMES = 200; // the page stays open for weeks
const names = new Map(); // what tasks are called, for the log

function showTasks(tasks) {
  const text = JSON.stringify(tasks); // rebuilt only when changed: a button keeps its focus
  if (text === shownTasks) return;
  shownTasks = text;
  for (const task of tasks) names.set(task.task_id, task.text || task.file_name);
  while (names.size > MOST_NAMES) names.delete(names.keys().next().value);
  const rows = inOrder(tasks).map(taskRow);
  $("tasks").replaceChildren(...(rows.length ? rows : [make("li", "quiet", "Nothing has been said yet")]));
}

async function refresh() {
  const channel = encodeURIComponent($("channel").value);
  try {
    showStatus(await getJson("status"));
  } catch (fault) {
    showAir(fault.status === 401 ? "LOCKED" : "NO ANSWER", "lost");
    $("reason").textContent = fault.status ? fault.message : NO_ANSWER;
    return;
  }
  try {
    const { tasks } = await getJson(`tasks?limit=30&channel=${channel}`);
    if (tasks) showTasks(tasks);
  } catch { /* the next look */ }
}
