// What pages do beyond HTML: they stay up to date, know the reader's time zone, and switch between light and dark.
// Everything here is an addition: without it, each page works and is as of when it was loaded.
"use strict";

const SHORTEST_PAUSE = 1000; // ms between two updates of a page
const OLDEST = 60_000; // ms; "in 5 min" is not true for long, though nothing has changed
const LONGEST_SHARE = 5; // a page that takes 0.4 s to fetch is fetched every 2 s at most

// The reader's time zone, for times beside those of the schedule.
const zone = encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone);
document.cookie = `rolltape_zone=${zone}; path=${document.body.dataset.base || "/"}; max-age=31536000; samesite=strict`;

// Light and dark.
const themeButton = document.getElementById("theme");
function labelTheme() {
  themeButton.textContent = document.documentElement.dataset.bsTheme === "dark" ? "Light" : "Dark";
}
if (themeButton) {
  themeButton.hidden = false;
  labelTheme();
  themeButton.addEventListener("click", () => {
    const next = document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark";
    localStorage.setItem("rolltape-theme", next);
    document.documentElement.dataset.bsTheme = next;
    labelTheme();
  });
}

// The topics that each part of the page depends on are in its data-live. A part is fetched again and morphed, so
// that focus, open details and what plays stay as they are. A part with a field that has the focus waits.
const parts = () => [...document.querySelectorAll("[data-live]")];
const isTyping = (part) => part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
const wanted = new Set();
let isFetching = false;
let notBefore = 0;

async function update() {
  if (isFetching || document.hidden || wanted.size === 0) return;
  const wait = notBefore - performance.now();
  if (wait > 0) {
    setTimeout(update, wait);
    return;
  }
  isFetching = true;
  const topics = new Set(wanted);
  wanted.clear();
  const begun = performance.now();
  try {
    await morph(parts().filter((part) => topics.has("*") || part.dataset.live.split(" ").some((topic) => topics.has(topic))));
  } finally {
    isFetching = false;
    notBefore = performance.now() + Math.max(SHORTEST_PAUSE, LONGEST_SHARE * (performance.now() - begun));
  }
  update();
}

async function morph(stale) {
  stale = stale.filter((part) => part.id && !isTyping(part));
  if (stale.length === 0) return;
  const answer = await fetch(location.href, { headers: { "X-Requested-With": "live" }, redirect: "manual" }).catch(() => null);
  if (answer === null || !answer.ok) {
    if (answer && answer.type === "opaqueredirect") location.reload(); // the login has ended
    return;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of stale) {
    const next = fresh.getElementById(part.id);
    if (next && part.isConnected) {
      Idiomorph.morph(part, next, { ignoreActiveValue: true, callbacks: { beforeNodeMorphed: keepAsIs } });
      htmx.process(part);
    }
  }
}

// What the reader opened stays open, and what plays goes on.
function keepAsIs(old, next) {
  if (old.nodeName === "AUDIO" && old.getAttribute("src") === next.getAttribute?.("src")) return false;
  if (old.nodeName === "DETAILS" && next.nodeName === "DETAILS") next.toggleAttribute("open", old.open);
  return !(old.dataset && "keep" in old.dataset);
}

// Which change the page knows of. If it has missed one, before its connection or while that was lost, all is stale.
let lastKnown = Number(document.body.dataset.news);

function hear(message) {
  const lost = document.getElementById("lost");
  if (lost) lost.hidden = message.online;
  for (const topic of message.topics) wanted.add(topic);
  if (Number.isFinite(message.count)) {
    if (message.count !== lastKnown + (message.topics.length ? 1 : 0)) wanted.add("*");
    lastKnown = message.count;
  }
  update();
}

function connect() {
  if (!("signedIn" in document.body.dataset)) return;
  if (window.SharedWorker) {
    const worker = new SharedWorker(document.body.dataset.worker, "rolltape");
    worker.port.onmessage = (event) => hear(event.data);
    window.addEventListener("pagehide", () => worker.port.postMessage("bye"));
    window.addEventListener("pageshow", (event) => event.persisted && location.reload());
    return;
  }
  // A browser without shared workers: a connection of its own, while the tab is in front.
  let source = null;
  const listen = () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (source === null) {
      source = new EventSource(`${document.body.dataset.base}/api/events`);
      source.onmessage = (event) => hear({ online: true, ...JSON.parse(event.data) });
      source.onerror = () => hear({ online: false, topics: [] });
    }
  };
  document.addEventListener("visibilitychange", listen);
  listen();
}

connect();
setInterval(() => hear({ online: document.getElementById("lost")?.hidden ?? true, topics: ["*"] }), OLDEST);
document.addEventListener("visibilitychange", update);
document.addEventListener("focusout", () => setTimeout(update));

// Times that run: <span data-since="2026-01-05T09:00:00Z"> counts up, data-until counts down.
function tick() {
  for (const shown of document.querySelectorAll("[data-since], [data-until]")) {
    const { since, until } = shown.dataset;
    const span = since ? Date.now() - Date.parse(since) : Date.parse(until) - Date.now();
    const whole = Math.max(0, Math.floor(span / 1000));
    const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    const two = (number) => String(number).padStart(2, "0");
    shown.textContent = hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
  }
}
tick();
setInterval(tick, 1000);

// The picture that was chosen, before it is sent.
document.addEventListener("change", (event) => {
  const preview = document.getElementById(event.target.dataset?.preview || "");
  if (!preview || !event.target.files?.[0]) return;
  const reader = new FileReader();
  reader.onload = () => {
    preview.src = reader.result;
    preview.hidden = false;
  };
  reader.readAsDataURL(event.target.files[0]);
});

// htmx shows nothing of an answer that says "no" unless it is told to.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status === 422) event.detail.shouldSwap = true;
});
