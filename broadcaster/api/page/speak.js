// Saying something: a text, a sound file (chosen or dropped anywhere), or the microphone.
"use strict";

const LONGEST_RECORDING_MS = 10 * 60 * 1000;

let chosen = null; // the sound that will be said instead of the text

function choose(file) {
  chosen = file;
  $("file-name").textContent = file ? file.name : "… or drop or choose a sound file";
  $("file-name").parentElement.classList.toggle("filled", Boolean(file));
  $("text").disabled = Boolean(file);
  $("no-file").hidden = !file;
  if (!file) $("file").value = "";
}

async function speak(sound, text) {
  if (sound && isTooLarge(sound, settings.most_mb.sound)) return null;
  const body = new FormData();
  if (sound) body.append("audio_file", sound, sound.name);
  else body.append("text", text);
  body.append("channel", $("channel").value);
  if ($("at-once").checked) body.append("interrupt", "true");
  return send("generate_video", "POST", body);
}

$("speak").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!chosen && !text) {
    say("Write something, or choose a sound file.", true);
    $("text").focus();
    return;
  }
  const submit = $("speak").querySelector("[type=submit]");
  submit.disabled = true;
  if (await speak(chosen, text)) {
    $("speak").reset();
    choose(null);
  }
  submit.disabled = false;
});

$("file").addEventListener("change", () => choose($("file").files[0] || null));
$("no-file").addEventListener("click", () => {
  choose(null);
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

/* ---- dropping a file anywhere on the page ------------------------------------------------------- */

const carriesFile = (event) => [...(event.dataTransfer?.types || [])].includes("Files");

let inside = 0; // elements entered and not left: the pointer is over the page while it is not 0

addEventListener("dragenter", (event) => {
  if (!carriesFile(event)) return;
  inside += 1;
  $("drop-zone").hidden = false;
});
addEventListener("dragleave", (event) => {
  if (!carriesFile(event)) return;
  inside = Math.max(0, inside - 1);
  $("drop-zone").hidden = inside === 0;
});
addEventListener("dragover", (event) => { if (carriesFile(event)) event.preventDefault(); });
addEventListener("drop", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  inside = 0;
  $("drop-zone").hidden = true;
  const [file] = event.dataTransfer.files;
  if (!file) return;
  if (file.type.startsWith("image/")) addAvatar(file); // a face: nobody can say a picture
  else choose(file);
});

/* ---- the microphone ----------------------------------------------------------------------------- */

// One recording from the press of the button to its sending; the channel's sound is off meanwhile.
class Recording {
  static possible() {
    return Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);
  }

  async begin() {
    this.stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true },
    });
    this.wasMuted = $("video").muted;
    $("video").muted = true;
    const type = ["audio/webm;codecs=opus", "audio/mp4"].find((t) => MediaRecorder.isTypeSupported(t));
    this.recorder = new MediaRecorder(this.stream, type ? { mimeType: type } : {});
    this.pieces = [];
    this.recorder.addEventListener("dataavailable", ({ data }) => this.pieces.push(data));
    this.recorder.start(1000);
    this.begun = performance.now();
    this.clock = setInterval(() => this.show(), 200);
    this.show();
  }

  show() {
    const ms = performance.now() - this.begun;
    const s = Math.floor(ms / 1000);
    $("record-text").textContent = `Send ${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
    if (ms > LONGEST_RECORDING_MS) finishRecording(true);
  }

  // The recorded sound as a file.
  async end() {
    clearInterval(this.clock);
    const stopped = new Promise((done) => this.recorder.addEventListener("stop", done));
    this.recorder.stop();
    await stopped;
    this.stream.getTracks().forEach((track) => track.stop());
    $("video").muted = this.wasMuted;
    const type = this.recorder.mimeType.split(";")[0];
    return new File(this.pieces, `microphone.${type.split("/")[1]}`, { type });
  }
}

let recording = null;

async function beginRecording() {
  const begun = new Recording();
  $("record").disabled = true;
  try {
    await begun.begin();
    recording = begun;
    $("record").classList.add("on");
    $("no-recording").hidden = false;
    say("Recording");
  } catch (fault) {
    const refused = fault.name === "NotAllowedError";
    say(refused ? "The browser may not use the microphone." : "There is no microphone.", true);
  }
  $("record").disabled = false;
}

async function finishRecording(wanted) {
  const ended = recording;
  if (!ended) return;
  recording = null;
  $("record").classList.remove("on");
  $("record-text").textContent = "Record";
  $("no-recording").hidden = true;
  const sound = await ended.end();
  if (wanted) await speak(sound, "");
  else say("");
}

$("record").addEventListener("click", () => (recording ? finishRecording(true) : beginRecording()));
$("no-recording").addEventListener("click", () => finishRecording(false));
if (!Recording.possible()) {
  $("record").disabled = true;
  $("record").title = "Browsers give the microphone to https pages and to 127.0.0.1 only";
}
