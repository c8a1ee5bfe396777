// The beginning: every part is there by now.
"use strict";

const POLL_MS = 1000;
const picture = new Picture($("video"), showCurtain);

function begin() {
  const [width, height] = settings.sizes[$("channel").value];
  $("screen").style.aspectRatio = `${width} / ${height}`;
  $("screen").classList.toggle("upright", height > width);
  if (settings.preview) picture.watch($("channel").value);
  else showCurtain("There is no preview on this station", false);
}

async function poll() {
  if (!document.hidden) await refresh();
  setTimeout(poll, POLL_MS);
}

$("channel").addEventListener("change", () => {
  begin();
  refresh();
  refreshShelf().catch(() => {});
  $("log").replaceChildren();
  eventLog.last = "";
  listen();
});
$("channel-choice").hidden = $("channel").options.length < 2;
$("sound").addEventListener("click", () => setSound($("video").muted, true));
$("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else $("screen").requestFullscreen().catch(() => {});
});
addEventListener("token", () => {
  begin();
  refresh();
  refreshShelf().catch(() => {});
  listen();
});
addEventListener("pagehide", () => picture.leave());
addEventListener("pageshow", (event) => { if (event.persisted) begin(); });
// Not before the load event: a <video> that waits for a stream would hold it up.
addEventListener("load", () => setTimeout(() => { setSound(remembered(), false); begin(); listen(); }));
showCurtain("Connecting", true);
poll();
pollShelf();
