// Who speaks: the shelf of presenters, adding a face, and moving its handles.
"use strict";

const SHELF_POLL_MS = 3000;
const MAKING_POLL_MS = 500;
const HANDLE_STEP = 1; // pixels of the picture for an arrow key; ten with Shift

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

/* ---- the shelf ---------------------------------------------------------------------------------- */

function avatarCard(avatar, standing) {
  const card = make("li", "avatar");
  const image = make("img");
  image.alt = "";
  if (avatar.state === "ready") showPicture(image, pathOf(avatar, "thumbnail"));
  const name = make("span", "name", avatar.name);
  card.append(image, name, avatarState(avatar, standing));
  if (avatar.state === "making") {
    const bar = make("progress");
    bar.value = avatar.progress;
    bar.setAttribute("aria-label", `Making ${avatar.name}`);
    card.append(bar);
  }
  const remark = avatar.error || avatarFault(avatar, standing) || (avatar.warnings || []).join(" ");
  if (remark) card.append(make("span", "remark", remark));
  card.append(avatarButtons(avatar, standing));
  return card;
}

function avatarState(avatar, standing) {
  if (avatar.state === "making") return make("span", "state busy", "making");
  if (avatar.state === "failed") return make("span", "state bad", "failed");
  if (avatar.name === standing.avatar) return make("span", "state good", "on air");
  if (avatar.name === standing.wished && standing.state === "preparing") return make("span", "state busy", "preparing");
  return make("span", "state", avatar.kind === "drawn" ? "drawn" : avatar.kind);
}

function avatarFault(avatar, standing) {
  return avatar.name === standing.wished && standing.state === "failed" ? standing.error : "";
}

function avatarButtons(avatar, standing) {
  const row = make("span", "buttons");
  const named = (made, text) => { made.setAttribute("aria-label", text); return made; };
  if (avatar.state === "ready" && avatar.name !== standing.wished) {
    row.append(named(button("Use", () => useAvatar(avatar.name)), `Use ${avatar.name}`));
  }
  if (avatar.state === "ready" && avatar.handles) {
    row.append(named(button("Adjust", () => openEditor(avatar)), `Adjust ${avatar.name}`));
  }
  if (!avatar.bundled && avatar.state !== "making") {
    row.append(named(button("Remove", () => removeAvatar(avatar.name)), `Remove ${avatar.name}`));
  }
  return row;
}

async function refreshShelf() {
  const [{ avatars }, { channels }] = await Promise.all([getJson("avatars"), getJson("channels")]);
  const channel = channels.find((each) => each.name === $("channel").value);
  const standing = channel?.avatar || { avatar: "", wished: "", state: "same", error: "" };
  const text = JSON.stringify([avatars, standing]);
  if (text !== shownShelf) {
    shownShelf = text;
    $("avatars").replaceChildren(...avatars.map((each) => avatarCard(each, standing)));
  }
  return avatars.some((each) => each.state === "making") || standing.state === "preparing";
}

async function pollShelf() {
  let busy = false;
  if (!document.hidden) busy = await refreshShelf().catch(() => false);
  setTimeout(pollShelf, busy ? MAKING_POLL_MS : SHELF_POLL_MS);
}

async function useAvatar(name) {
  const path = `channels/${encodeURIComponent($("channel").value)}/avatar`;
  const body = JSON.stringify({ avatar: name });
  await send(path, "PUT", body, { "Content-Type": "application/json" });
  refreshShelf().catch(() => {});
}

async function removeAvatar(name) {
  if (!confirm(`Remove ${name}?`)) return;
  await send(`avatars/${encodeURIComponent(name)}`, "DELETE");
  refreshShelf().catch(() => {});
}

async function addAvatar(file) {
  const body = new FormData();
  body.append("file", file, file.name);
  $("avatar-file").value = "";
  await send("avatars", "POST", body);
  refreshShelf().catch(() => {});
}

$("avatar-file").addEventListener("change", () => {
  const [file] = $("avatar-file").files;
  if (file) addAvatar(file);
});

/* ---- the handle editor -------------------------------------------------------------------------- */

const editor = { avatar: null, handles: {} };

async function openEditor(avatar) {
  editor.avatar = avatar;
  editor.handles = structuredClone(avatar.handles);
  $("editor-title").textContent = `Adjust ${avatar.name}`;
  $("editor-fault").textContent = "";
  $("editor-picture").src = await pictureUrl(pathOf(avatar, "picture"));
  await $("editor-picture").decode();
  const { naturalWidth, naturalHeight } = $("editor-picture");
  $("editor-stage").style.aspectRatio = `${naturalWidth} / ${naturalHeight}`;
  $("editor-dots").replaceChildren(...Object.keys(editor.handles).map(handleDot));
  $("editor").showModal();
}

function handleDot(name) {
  const text = name.replaceAll("_", " ");
  const dot = button("", () => {}, "dot");
  dot.title = text;
  dot.setAttribute("aria-label", `${text}; arrow keys move it`);
  dot.addEventListener("pointerdown", (event) => dot.setPointerCapture(event.pointerId));
  dot.addEventListener("pointermove", (event) => {
    if (dot.hasPointerCapture(event.pointerId)) moveHandle(dot, name, pointed(event));
  });
  dot.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    const step = HANDLE_STEP * (event.shiftKey ? 10 : 1);
    const [x, y] = editor.handles[name];
    moveHandle(dot, name, [x + move[0] * step, y + move[1] * step]);
  });
  moveHandle(dot, name, editor.handles[name]);
  return dot;
}

// Where in the picture the pointer is, in its own pixels.
function pointed(event) {
  const box = $("editor-stage").getBoundingClientRect();
  const { naturalWidth, naturalHeight } = $("editor-picture");
  return [
    (event.clientX - box.left) / box.width * naturalWidth,
    (event.clientY - box.top) / box.height * naturalHeight,
  ];
}

function moveHandle(dot, name, [x, y]) {
  const { naturalWidth, naturalHeight } = $("editor-picture");
  const place = [Math.min(Math.max(x, 0), naturalWidth - 1), Math.min(Math.max(y, 0), naturalHeight - 1)];
  editor.handles[name] = place.map((value) => Math.round(value * 10) / 10);
  dot.style.left = `${place[0] / naturalWidth * 100}%`;
  dot.style.top = `${place[1] / naturalHeight * 100}%`;
}

async function saveHandles() {
  const answer = await ask(`avatars/${encodeURIComponent(editor.avatar.name)}/handles`, {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ handles: editor.handles }),
  }).catch(() => null);
  if (answer?.ok) {
    $("editor").close();
    say(`${editor.avatar.name} is being made anew`);
    refreshShelf().catch(() => {});
    return;
  }
  const told = answer ? await answer.json().catch(() => ({})) : {};
  $("editor-fault").textContent = told.error || NO_ANSWER;
}

$("editor-save").addEventListener("click", saveHandles);
$("editor-cancel").addEventListener("click", () => $("editor").close());
