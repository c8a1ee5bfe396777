// The points of a face, moved by hand: over a picture that can be brought nearer and shifted.
"use strict";

const KEY_STEP = 1; // pixels of the picture for an arrow key; ten with Shift
const ZOOM = 1.4; // for one press of a button
const FACE_PART = 0.62; // of the stage's lower side, that the points fill at first

// Where the points lie before anybody has said, as parts of a square in the middle of the picture.
const GUESS = {
  left_eye: [0.4, 0.38], right_eye: [0.6, 0.38], mouth_left: [0.43, 0.6], mouth_right: [0.57, 0.6],
  upper_lip: [0.5, 0.6], lower_lip: [0.5, 0.6], chin: [0.5, 0.74],
};

// x, y: the point of the picture in the middle of the stage; scale: pixels of the page for one of it.
const editor = { handles: {}, save: null, view: { x: 0, y: 0, scale: 1 }, dots: new Map() };

// save(handles) gives null once they are taken, else why not.
async function openEditor({ title, hint, url, handles, save }) {
  $("editor-title").textContent = title;
  $("editor-hint").textContent = hint;
  $("editor-fault").textContent = "";
  $("editor-picture").src = url;
  await $("editor-picture").decode();
  const { naturalWidth: width, naturalHeight: height } = $("editor-picture");
  editor.handles = structuredClone(handles) || guessed(width, height);
  editor.save = save;
  editor.dots = new Map(Object.keys(editor.handles).map((name) => [name, handleDot(name)]));
  $("editor-dots").replaceChildren(...editor.dots.values());
  $("editor").showModal();
  if (handles) lookAtFace();
  else look(width / 2, height / 2, 0);
}

function guessed(width, height) {
  const side = Math.min(width, height);
  return Object.fromEntries(Object.entries(GUESS).map(([name, [x, y]]) => [
    name, [width / 2 + (x - 0.5) * side, height / 2 + (y - 0.5) * side],
  ]));
}

/* ---- the view ----------------------------------------------------------------------------------- */

function lookAtFace() {
  const xs = Object.values(editor.handles).map(([x]) => x);
  const ys = Object.values(editor.handles).map(([, y]) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const { clientWidth, clientHeight } = $("editor-stage");
  const scale = FACE_PART * Math.min(clientWidth / (right - left), clientHeight / (bottom - top));
  look((left + right) / 2, (top + bottom) / 2, scale);
}

// Never farther than the whole picture, never nearer than a pixel as large as a grip.
function look(x, y, scale) {
  const { clientWidth, clientHeight } = $("editor-stage");
  const { naturalWidth, naturalHeight } = $("editor-picture");
  const whole = Math.min(clientWidth / naturalWidth, clientHeight / naturalHeight);
  editor.view = {
    x: within(x, naturalWidth), y: within(y, naturalHeight),
    scale: Math.min(Math.max(scale, whole), 30),
  };
  place();
}

const within = (value, length) => Math.min(Math.max(value, 0), length - 1);

// A whole number is the middle of a pixel.
function onStage([x, y]) {
  const { clientWidth, clientHeight } = $("editor-stage");
  const { view } = editor;
  return [
    clientWidth / 2 + (x + 0.5 - view.x) * view.scale,
    clientHeight / 2 + (y + 0.5 - view.y) * view.scale,
  ];
}

function place() {
  const image = $("editor-picture");
  const [left, top] = onStage([-0.5, -0.5]);
  image.style.left = `${left}px`;
  image.style.top = `${top}px`;
  image.style.width = `${image.naturalWidth * editor.view.scale}px`;
  for (const [name, dot] of editor.dots) {
    const [x, y] = onStage(editor.handles[name]);
    dot.style.left = `${x}px`;
    dot.style.top = `${y}px`;
  }
}

function zoom(factor) {
  const { x, y, scale } = editor.view;
  look(x, y, scale * factor);
}

/* ---- the points --------------------------------------------------------------------------------- */

function handleDot(name) {
  const text = name.replaceAll("_", " ");
  const dot = button("", () => {}, `dot ${name}`);
  dot.title = text;
  dot.setAttribute("aria-label", `${text}; arrow keys move it`);
  dragged(dot, (dx, dy) => moveHandle(name, dx, dy));
  dot.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    const step = KEY_STEP * (event.shiftKey ? 10 : 1);
    moveHandle(name, move[0] * step, move[1] * step);
  });
  return dot;
}

// act gets how far the pointer went, in pixels of the picture.
function dragged(element, act) {
  let last = null;
  element.addEventListener("pointerdown", (event) => {
    if (event.button || event.target !== element) return;
    element.setPointerCapture(event.pointerId);
    last = [event.clientX, event.clientY];
  });
  element.addEventListener("pointermove", (event) => {
    if (!last || !element.hasPointerCapture(event.pointerId)) return;
    const { scale } = editor.view;
    act((event.clientX - last[0]) / scale, (event.clientY - last[1]) / scale);
    last = [event.clientX, event.clientY];
  });
  for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => { last = null; });
}

function moveHandle(name, dx, dy) {
  const { naturalWidth, naturalHeight } = $("editor-picture");
  const [x, y] = editor.handles[name];
  editor.handles[name] = [within(x + dx, naturalWidth), within(y + dy, naturalHeight)];
  place();
}

async function saveHandles() {
  const rounded = ([x, y]) => [Math.round(x * 10) / 10, Math.round(y * 10) / 10];
  const points = Object.entries(editor.handles).map(([name, point]) => [name, rounded(point)]);
  $("editor-save").disabled = true;
  const fault = await editor.save(Object.fromEntries(points));
  $("editor-save").disabled = false;
  $("editor-fault").textContent = fault || "";
  if (!fault) $("editor").close();
}

dragged($("editor-picture"), (dx, dy) => {
  const { x, y, scale } = editor.view;
  look(x - dx, y - dy, scale);
});
$("editor-stage").addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(2 ** (-event.deltaY / 400));
}, { passive: false });
$("editor-nearer").addEventListener("click", () => zoom(ZOOM));
$("editor-farther").addEventListener("click", () => zoom(1 / ZOOM));
$("editor-save").addEventListener("click", saveHandles);
$("editor-cancel").addEventListener("click", () => $("editor").close());
new ResizeObserver(() => { if ($("editor").open) place(); }).observe($("editor-stage"));
