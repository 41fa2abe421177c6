// The player of a session's page: seek in the waveform by pointer and keys, see where it plays and what is on the air.
// Everything listens at the document, for the page may be morphed while it plays. Without this the player plays alone.
"use strict";

const KEYS = { ArrowRight: 5, ArrowUp: 5, ArrowLeft: -5, ArrowDown: -5, PageUp: 60, PageDown: -60 }; // seconds
const FIRST = 0;

const player = () => document.getElementById("player");
const audio = () => document.getElementById("audio");
const wave = () => document.getElementById("wave");

function duration() {
  const known = audio()?.duration;
  return Number.isFinite(known) && known > 0 ? known : Number(player()?.dataset.duration) || 0;
}

function said(seconds) {
  const whole = Math.floor(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

function seek(seconds) {
  const sound = audio();
  if (!sound) return;
  sound.currentTime = Math.min(Math.max(seconds, FIRST), Math.max(FIRST, duration() - 0.1));
  show();
}

// Entries of the list of titles; the one that is heard is the last that has begun.
const entries = () => [...document.querySelectorAll("#titles > li")];

function show() {
  const sound = audio();
  if (!sound) return;
  const at = sound.currentTime;
  showPlace(at);
  const heard = entries().findLast((entry) => Number(entry.dataset.at) <= at);
  for (const entry of entries()) {
    if (entry === heard) entry.setAttribute("aria-current", "true");
    else entry.removeAttribute("aria-current");
  }
  const title = heard?.querySelector("span")?.textContent || "";
  const caption = document.getElementById("heard");
  if (caption) caption.textContent = title && (at > 0 || !sound.paused) ? `On the air: ${title}` : "";
}

function showPlace(at) {
  const drawing = wave();
  if (!drawing || !duration()) return;
  if (drawing.getAttribute("role") !== "slider") {
    drawing.setAttribute("role", "slider");
    drawing.setAttribute("tabindex", "0");
    drawing.setAttribute("aria-label", "Place in the recording");
    drawing.setAttribute("aria-valuemin", "0");
  }
  drawing.setAttribute("aria-valuemax", String(Math.floor(duration())));
  drawing.setAttribute("aria-valuenow", String(Math.floor(at)));
  drawing.setAttribute("aria-valuetext", `${said(at)} of ${said(duration())}`);
  const x = (at / duration()) * drawing.viewBox.baseVal.width;
  drawing.querySelector(".played").setAttribute("width", x.toFixed(1));
  for (const end of ["x1", "x2"]) drawing.querySelector(".head-line").setAttribute(end, x.toFixed(1));
}

function seekTo(event) {
  const box = wave().getBoundingClientRect();
  seek(((event.clientX - box.left) / box.width) * duration());
}

let isDragging = false;
document.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.target.closest?.("#wave")) return;
  isDragging = true;
  seekTo(event);
});
document.addEventListener("pointermove", (event) => isDragging && seekTo(event));
for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => (isDragging = false));

document.addEventListener("keydown", (event) => {
  if (!event.target.closest?.("#wave") || event.ctrlKey || event.altKey || event.metaKey) return;
  const sound = audio();
  if (event.key in KEYS) seek(sound.currentTime + KEYS[event.key]);
  else if (event.key === "Home") seek(FIRST);
  else if (event.key === "End") seek(duration());
  else if (event.key === " " || event.key === "Enter") sound.paused ? sound.play() : sound.pause();
  else return;
  event.preventDefault();
});

// A time in a list is a link to that place of the file; here it plays in the page.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a.seek");
  if (!link || !audio()) return;
  event.preventDefault();
  seek(Number(link.dataset.at));
  audio().play();
});

// Events of media do not bubble, but they can be caught on the way down.
for (const kind of ["loadedmetadata", "timeupdate", "seeked", "play"]) {
  document.addEventListener(kind, (event) => event.target === audio() && show(), true);
}
show();
