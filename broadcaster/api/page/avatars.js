// Who speaks: the shelf of presenters, adding a face, putting another one on air.
"use strict";

const SHELF_POLL_MS = 3000;
const MAKING_POLL_MS = 1000;
const SHELF_SAID = "shelf-said";
const POINTS = "Drag the points to the middle of the eyes, the corners of the mouth, where the lips meet, and the chin.";

const pictures = new Map(); // address -> object URL: an <img> cannot send a token
let shownShelf = "";

async function pictureUrl(path) {
  if (!pictures.has(path)) {
    const answer = await ask(path);
    if (!answer.ok) return "";
    pictures.set(path, URL.createObjectURL(await answer.blob()));
  }
  return pictures.get(path);
}

function showPicture(image, path) {
  pictureUrl(path).then((url) => { if (url) image.src = url; }).catch(() => {});
}

// A version in the address, so that a face made anew is fetched anew.
function pathOf(avatar, what) {
  return `avatars/${encodeURIComponent(avatar.name)}/${what}?v=${encodeURIComponent(avatar.version)}`;
}

function forgetPictures(avatars) {
  const there = avatars.flatMap((each) => [pathOf(each, "thumbnail"), pathOf(each, "picture")]);
  for (const [path, url] of pictures) {
    if (there.includes(path)) continue;
    URL.revokeObjectURL(url);
    pictures.delete(path);
  }
}

/* ---- the shelf ---------------------------------------------------------------------------------- */

function avatarCard(avatar, standing) {
  const card = make("li", "avatar");
  const image = make("img");
  image.alt = "";
  if (avatar.links.thumbnail) showPicture(image, pathOf(avatar, "thumbnail"));
  if (avatar.handles) image.style.objectPosition = faceInSquare(avatar);
  const name = make("span", "name", avatar.name);
  name.title = avatar.name;
  card.append(image, name, avatarState(avatar, standing));
  if (avatar.state === "making") {
    const bar = make("progress");
    bar.value = avatar.progress;
    bar.setAttribute("aria-label", `Making ${avatar.name}`);
    card.append(bar);
  }
  const remark = avatarRemark(avatar, standing);
  if (remark) card.append(make("span", "remark", remark));
  card.append(avatarButtons(avatar, standing));
  return card;
}

// What of a picture that is no square has to be cut off, so that the face is in the middle if it can.
function faceInSquare({ handles, width, height }) {
  const side = Math.min(width, height);
  const part = (axis, length) => {
    const eye = (handles.left_eye[axis] + handles.right_eye[axis]) / 2;
    const start = (eye + handles.chin[axis]) / 2 - side / 2;
    return `${100 * Math.min(Math.max(start / Math.max(length - side, 1), 0), 1)}%`;
  };
  return `${part(0, width)} ${part(1, height)}`;
}

function avatarState(avatar, standing) {
  if (avatar.name === standing.on_air) return make("span", "state air", "on air");
  if (avatar.name === standing.wished && standing.state === "preparing") {
    return make("span", "state busy", "preparing");
  }
  if (avatar.state === "making") return make("span", "state busy", "making");
  if (avatar.state === "failed") return make("span", "state bad", "failed");
  return make("span", "kind", avatar.kind);
}

function avatarRemark(avatar, standing) {
  if (avatar.name === standing.wished && standing.state === "failed") return standing.error;
  if (avatar.state === "making") return avatar.step || "waits";
  return avatar.error || avatar.warnings.join("; ");
}

function avatarButtons(avatar, standing) {
  const row = make("span", "buttons");
  const offer = (text, act) => {
    const made = button(text, act);
    made.setAttribute("aria-label", `${text} ${avatar.name}`);
    row.append(made);
  };
  const isShown = [standing.on_air, standing.wished].includes(avatar.name);
  const failed = avatar.name === standing.wished && standing.state === "failed";
  if (standing.can_change && avatar.usable && (avatar.name !== standing.wished || failed)) {
    offer("Use", () => useAvatar(avatar.name));
  }
  if (avatar.state === "ready" && avatar.links.handles) offer("Adjust", () => adjust(avatar));
  if (avatar.bundled || isShown || avatar.channels.length) return row;
  if (avatar.state === "making" && !avatar.usable) offer("Cancel", () => removeAvatar(avatar));
  if (avatar.state !== "making") offer("Remove", () => removeAvatar(avatar));
  return row;
}

async function refreshShelf() {
  const [{ avatars }, { channels }] = await Promise.all([getJson("avatars"), getJson("channels")]);
  const channel = channels.find((each) => each.name === $("channel").value);
  const standing = { ...channel?.avatar, can_change: Boolean(channel?.avatar) };
  const text = JSON.stringify([avatars, standing]);
  if (text !== shownShelf) {
    shownShelf = text;
    forgetPictures(avatars);
    $("avatars").replaceChildren(...avatars.map((each) => avatarCard(each, standing)));
  }
  return avatars.some((each) => each.state === "making") || standing.state === "preparing";
}

async function pollShelf() {
  let busy = false;
  if (!document.hidden) busy = await refreshShelf().catch(() => false);
  setTimeout(pollShelf, busy ? MAKING_POLL_MS : SHELF_POLL_MS);
}

async function change(path, method, wished) {
  const headers = wished === undefined ? {} : { "Content-Type": "application/json" };
  const body = wished === undefined ? undefined : JSON.stringify(wished);
  const told = await send(path, method, body, { headers, place: SHELF_SAID });
  if (told) say("", false, SHELF_SAID); // the cards show it
  refreshShelf().catch(() => {});
}

function useAvatar(name) {
  return change(`channels/${encodeURIComponent($("channel").value)}/avatar`, "PUT", { avatar: name });
}

async function removeAvatar(avatar) {
  if (avatar.usable && !confirm(`Remove ${avatar.name}?`)) return;
  await change(`avatars/${encodeURIComponent(avatar.name)}`, "DELETE");
}

/* ---- adding a face ------------------------------------------------------------------------------ */

// A choice only where the settings name the weights of another engine.
function offerEngines() {
  const names = ["photo", ...settings.engines];
  $("avatar-engine").replaceChildren(...names.map((name) => make("option", "", name)));
  $("avatar-engines").hidden = !settings.engines.length;
}

// Gives whether the station took it.
async function addAvatar(file, handles) {
  $("avatar-file").value = "";
  $("by-hand").hidden = true;
  if (isTooLarge(file, settings.most_mb.avatar, SHELF_SAID)) return false;
  const body = new FormData();
  if (handles) body.append("handles", JSON.stringify(handles));
  if (settings.engines.length) body.append("engine", $("avatar-engine").value);
  body.append("file", file, file.name);
  $("avatar-file").disabled = true;
  const told = await send("avatars", "POST", body, { place: SHELF_SAID });
  $("avatar-file").disabled = false;
  refreshShelf().catch(() => {});
  if (told) say(`${told.name}: the file has arrived`, false, SHELF_SAID);
  else offerByHand(file);
  return Boolean(told);
}

// A face that is not found, or one of several, can be pointed at: if the browser shows the picture.
function offerByHand(file) {
  $("by-hand").hidden = !file.type.startsWith("image/");
  $("by-hand").onclick = () => placeByHand(file);
}

async function placeByHand(file) {
  const url = URL.createObjectURL(file);
  const save = async (handles) => ((await addAvatar(file, handles)) ? null : $(SHELF_SAID).textContent);
  try {
    await openEditor({ title: file.name, hint: POINTS, url, handles: null, save });
    $("editor").addEventListener("close", () => URL.revokeObjectURL(url), { once: true });
  } catch {
    say("The browser cannot show this picture.", true, SHELF_SAID);
  }
}

async function adjust(avatar) {
  const url = await pictureUrl(pathOf(avatar, "picture")).catch(() => "");
  if (!url) {
    say(NO_ANSWER, true, SHELF_SAID);
    return;
  }
  const save = (handles) => setHandles(avatar, handles);
  await openEditor({ title: avatar.name, hint: POINTS, url, handles: avatar.handles, save });
}

async function setHandles(avatar, handles) {
  const answer = await ask(`avatars/${encodeURIComponent(avatar.name)}/handles`, {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(handles),
  }).catch(() => null);
  if (!answer) return NO_ANSWER;
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) return told.error || `The station refused it (${answer.status}).`;
  say(`${avatar.name} is being made anew`, false, SHELF_SAID);
  refreshShelf().catch(() => {});
  return null;
}

$("avatar-file").addEventListener("change", () => {
  const [file] = $("avatar-file").files;
  if (file) addAvatar(file);
});

offerEngines();
