// The live picture: one WHEP connection that comes back by itself, and its sound.
"use strict";

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
    const answer = await ask(`whep/${encodeURIComponent(this.channel)}`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: sdp,
      signal: AbortSignal.timeout(8000),
    });
    if (answer.status === 201) return answer;
    const fault = new Error(`WHEP answered ${answer.status}`);
    fault.retryMs = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
    fault.shown = {
      401: "A token is needed", 429: "Too many viewers", 503: "No stream at the moment",
    }[answer.status] ||
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
  await ask(location, { method: "DELETE", keepalive: true }).catch(() => {});
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

/* ---- sound: muted until wanted, as browsers demand; the choice is remembered ------------------- */

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
