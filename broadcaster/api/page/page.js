// The station's page: the live picture (WHEP), states, and a form to speak.
"use strict";

const $ = (id) => document.getElementById(id);
const settings = JSON.parse(document.body.dataset.settings);
const POLL_MS = 1000;

/* ---- the live picture ---------------------------------------------------------------------- */

const LOOK_MS = 250;
const FIRST_PICTURE_MS = 5000; // from the answer to the first decoded picture
const STALL_MS = 2000; // no decoded picture for so long: a new session
const RETRY_MS = [250, 500, 1000, 1500]; // the pauses between tries; the last one for ever

// One WHEP session at a time; a new one when the old one stands still.
class Picture {
  constructor(video, tell) {
    this.video = video;
    this.tell = tell;
    this.failures = 0;
    this.run = 0;
  }

  watch(channel) {
    this.channel = channel;
    this.failures = 0;
    this.restart(0, "Connecting");
  }

  restart(pause, text) {
    this.leave();
    this.tell(text, true);
    const run = this.run;
    this.timer = setTimeout(() => this.connect(run), pause);
  }

  // Everything of the present session ends; what is under way finds that its run is over.
  leave() {
    this.run += 1;
    clearTimeout(this.timer);
    clearInterval(this.watchdog);
    const { peer, location } = this;
    this.peer = this.location = null;
    if (!location) peer?.close();
    // Only closed once the station knows: it takes the end of the connection for a goodbye too.
    else goodbye(location).finally(() => peer.close());
  }

  async connect(run) {
    try {
      await this.negotiate(run);
    } catch (fault) {
      if (run !== this.run) return;
      const pause = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
      this.failures += 1;
      this.restart(Math.max(pause, fault.retryMs || 0), fault.shown || "The station does not answer");
    }
  }

  async negotiate(run) {
    const peer = new RTCPeerConnection();
    this.peer = peer;
    const stream = new MediaStream();
    peer.addEventListener("track", ({ track, receiver }) => {
      receiver.jitterBufferTarget = 0; // live: as little delay as the network allows
      stream.addTrack(track);
      if (track.kind === "video") this.video.srcObject = stream;
    });
    peer.addEventListener("connectionstatechange", () => {
      if (run === this.run && peer.connectionState === "failed") this.restart(0, "Reconnecting");
    });
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.addTransceiver("audio", { direction: "recvonly" });
    const offer = await peer.createOffer();
    // Browsers decode Opus as mono unless their own offer asks for stereo.
    offer.sdp = offer.sdp.replace(/(useinbandfec=1)(?!;stereo)/g, "$1;stereo=1");
    await peer.setLocalDescription(offer);
    const answer = await this.post(offer.sdp);
    const location = answer.headers.get("Location");
    if (run !== this.run) { // left meanwhile
      goodbye(location);
      return;
    }
    this.location = location;
    await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    if (run === this.run) this.guard(peer);
  }

  async post(sdp) {
    const answer = await fetch(`whep/${encodeURIComponent(this.channel)}`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: sdp,
      signal: AbortSignal.timeout(8000),
    });
    if (answer.status === 201) return answer;
    const fault = new Error(`WHEP answered ${answer.status}`);
    fault.retryMs = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
    fault.shown = { 429: "Too many viewers", 503: "No stream at the moment" }[answer.status] ||
      "The preview is not available";
    throw fault;
  }

  // Decoded pictures are the only proof of life: time runs on over a picture that stands still.
  guard(peer) {
    let decoded = 0;
    let movedAt = performance.now();
    let shownAt = movedAt;
    this.watchdog = setInterval(async () => {
      const video = await pictureStats(peer);
      if (peer !== this.peer) return;
      const now = performance.now();
      if (video.framesDecoded > decoded || document.hidden) {
        if (!decoded && video.framesDecoded) this.failures = 0;
        movedAt = now;
        if (video.framesDecoded) this.tell("", false);
      }
      decoded = video.framesDecoded;
      if (now - movedAt > (decoded ? STALL_MS : FIRST_PICTURE_MS)) this.restart(0, "Reconnecting");
      if (now - shownAt > 2000) {
        shownAt = now;
        showFigures(video);
      }
    }, LOOK_MS);
  }
}

async function goodbye(location) {
  await fetch(location, { method: "DELETE", keepalive: true }).catch(() => {});
}

async function pictureStats(peer) {
  for (const each of (await peer.getStats()).values()) {
    if (each.type === "inbound-rtp" && each.kind === "video") return each;
  }
  return { framesDecoded: 0 };
}

function showFigures(video) {
  const rate = video.framesPerSecond || 0;
  $("figures").textContent = rate
    ? `${video.frameWidth} × ${video.frameHeight} · ${rate.toFixed(0)} pictures/s` : "";
}

function showCurtain(text, waiting) {
  $("curtain").classList.toggle("open", !text);
  $("curtain").classList.toggle("still", !waiting);
  if (text) $("curtain-text").textContent = text;
  if (text) $("figures").textContent = "";
  $("sound").hidden = $("full").hidden = Boolean(text);
}

/* ---- sound: muted until wanted, as browsers demand; the choice is remembered ------------------ */

function remembered() {
  try { return localStorage.getItem("sound") === "on"; } catch { return false; }
}

function setSound(on, keep) {
  const video = $("video");
  video.muted = !on;
  video.play().catch(() => { if (on) setSound(false, false); }); // not before a first click
  $("sound-text").textContent = on ? "Turn off sound" : "Turn on sound";
  $("sound").setAttribute("aria-pressed", String(on));
  if (keep) try { localStorage.setItem("sound", on ? "on" : "off"); } catch { /* private mode */ }
}

/* ---- states ---------------------------------------------------------------------------------- */

const STATES = {
  on_air: ["on air", "good"], running: ["running", "good"], connecting: ["connecting", "busy"],
  waiting: ["waiting", "busy"], retrying: ["retrying", "bad"], failed: ["failed", "bad"],
};
const TASK_STATES = {
  queued: "", preparing: "busy", buffering: "busy", on_air: "air", done: "good", failed: "bad",
  cancelled: "",
};

function make(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text ?? "";
  return made;
}

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

function taskRow(task) {
  const row = document.createElement("li");
  const name = make("span", "name", task.text || task.file_name || task.task_id.slice(0, 8));
  name.title = name.textContent;
  row.append(name, make("span", `state ${TASK_STATES[task.state] ?? ""}`, task.state.replace("_", " ")));
  if (["queued", "preparing", "buffering", "on_air"].includes(task.state)) {
    const drop = make("button", "drop", "Cancel");
    drop.type = "button";
    drop.setAttribute("aria-label", `Cancel ${name.textContent}`);
    drop.addEventListener("click", () => send(`tasks/${task.task_id}`, "DELETE"));
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

function showTasks(tasks) {
  const text = JSON.stringify(tasks); // rebuilt only when changed: a button keeps its focus
  if (text === shownTasks) return;
  shownTasks = text;
  const rows = tasks.map(taskRow);
  $("tasks").replaceChildren(...(rows.length ? rows : [make("li", "quiet", "Nothing waits")]));
}

async function getJson(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(5000) });
  return answer.json();
}

async function refresh() {
  const channel = encodeURIComponent($("channel").value);
  try {
    showStatus(await getJson("status"));
  } catch {
    showAir("NO ANSWER", "lost");
    $("reason").textContent = "The station does not answer.";
    return;
  }
  try {
    const { tasks } = await getJson(`tasks?limit=12&channel=${channel}`);
    if (tasks) showTasks(tasks);
  } catch { /* the next look */ }
}

async function poll() {
  if (!document.hidden) await refresh();
  setTimeout(poll, POLL_MS);
}

/* ---- speaking --------------------------------------------------------------------------------- */

function say(text, bad) {
  $("said").textContent = text;
  $("said").classList.toggle("bad", Boolean(bad));
}

async function send(url, method, body) {
  say("…");
  try {
    const answer = await fetch(url, { method, body });
    const told = await answer.json();
    if (told.error && !answer.ok) say(told.error, true);
    else say((told.status || told.state || "done").replaceAll("_", " "));
    return answer.ok;
  } catch {
    say("The station does not answer.", true);
    return false;
  } finally {
    refresh();
  }
}

// A chosen file is what will be said; the text waits until it is taken away.
function showFile() {
  const file = $("file").files[0];
  $("file-name").textContent = file ? file.name : "… or choose a sound file";
  $("file-name").parentElement.classList.toggle("filled", Boolean(file));
  $("text").disabled = Boolean(file);
  $("no-file").hidden = !file;
}

$("file").addEventListener("change", showFile);
for (const [event, over] of [["dragenter", true], ["dragleave", false], ["drop", false]]) {
  $("file").addEventListener(event, () => $("file").parentElement.classList.toggle("over", over));
}

$("speak").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new FormData();
  const [file] = $("file").files;
  const text = $("text").value.trim();
  if (!file && !text) {
    say("Write something, or choose a sound file.", true);
    $("text").focus();
    return;
  }
  if (file) body.append("audio_file", file);
  else body.append("text", text);
  body.append("channel", $("channel").value);
  const button = $("speak").querySelector("[type=submit]");
  button.disabled = true;
  if (await send("generate_video", "POST", body)) {
    $("speak").reset();
    showFile();
  }
  button.disabled = false;
});

$("no-file").addEventListener("click", () => {
  $("file").value = "";
  showFile();
  $("text").focus();
});

$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("speak").requestSubmit();
});

$("stop").addEventListener("click", () => {
  const body = new FormData();
  body.append("channel", $("channel").value);
  send("interrupt", "POST", body);
});

/* ---- start -------------------------------------------------------------------------------------- */

const picture = new Picture($("video"), showCurtain);

function begin() {
  const [width, height] = settings.sizes[$("channel").value];
  $("screen").style.aspectRatio = `${width} / ${height}`;
  $("screen").classList.toggle("upright", height > width);
  if (settings.preview) picture.watch($("channel").value);
  else showCurtain("There is no preview on this station", false);
}

$("channel").addEventListener("change", () => { begin(); refresh(); });
$("channel-choice").hidden = $("channel").options.length < 2;
$("sound").addEventListener("click", () => setSound($("video").muted, true));
$("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else $("screen").requestFullscreen().catch(() => {});
});
addEventListener("pagehide", () => picture.leave());
addEventListener("pageshow", (event) => { if (event.persisted) begin(); });
// Not before the load event: a <video> that waits for a stream would hold it up.
addEventListener("load", () => setTimeout(() => { setSound(remembered(), false); begin(); }));
showCurtain("Connecting", true);
poll();
