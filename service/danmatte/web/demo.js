/** The demo page: one player, three kinds of video, comments behind or in front. */

import { Comments } from "./comments.js";
import { attach } from "./danmatte.js";
import { SAID } from "./said.js";

const at = (id) => document.getElementById(id);
const [stage, video, layer, note] = ["stage", "video", "comments", "note"].map(at);
const comments = new Comments(layer, SAID);
const RATES = [1, 2, 0.5];
const LEAD_S = 0.7;

let handle = null;
let masks = { track: "sample.mattes" };
let camera = null;

/** Masks on, or off again. */
function wear() {
  handle?.detach();
  const behind = document.querySelector("[name=side]:checked").value === "behind";
  handle = behind ? attach(video, layer, { ...masks, onframe: report }) : null;
  if (!behind) report(null);
}

// What the video does, the comments do.
function follow() {
  stage.classList.toggle("playing", !video.paused);
  at("play").ariaLabel = video.paused ? "Play" : "Pause";
  comments.pace(!video.paused, video.playbackRate);
}
for (const name of ["play", "pause", "ratechange", "emptied"]) video.addEventListener(name, follow);

const toggle = () => (video.paused ? video.play().catch(() => {}) : video.pause());
for (const id of ["play", "start", "screen"]) {
  at(id).addEventListener("click", (event) => {
    event.stopPropagation();
    toggle();
  });
}
at("rate").addEventListener("click", () => {
  video.playbackRate = RATES[(RATES.indexOf(video.playbackRate) + 1) % RATES.length];
  at("rate").textContent = `${video.playbackRate === 0.5 ? "½" : video.playbackRate}×`;
});
at("full").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : stage.requestFullscreen?.()));
at("seek").addEventListener("input", ({ target }) => {
  if (Number.isFinite(video.duration)) video.currentTime = target.value * video.duration;
});
video.addEventListener("timeupdate", () => {
  const whole = Number.isFinite(video.duration) ? video.duration : 0;
  at("seek").value = whole ? video.currentTime / whole : 0;
  const seconds = Math.floor(video.currentTime);
  at("clock").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
});

// Where the video comes from.
const sources = {
  sample() {
    open("sample.webm", { track: "sample.mattes" });
  },
  file() {
    at("file").click();
  },
  async camera() {
    try {
      camera = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, facingMode: "user" }, audio: false });
      open(camera, { live: true });
    } catch {
      back("No camera here");
    }
  },
};
for (const radio of document.querySelectorAll("[name=source]")) {
  radio.addEventListener("click", () => sources[radio.value]());
}
at("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (file) open(URL.createObjectURL(file), { live: { ahead: LEAD_S } });
});
at("file").addEventListener("cancel", () => back(""));
video.addEventListener("error", () => back("This video can't be played here"));

function open(from, how) {
  handle?.detach();
  handle = null;
  if (video.src.startsWith("blob:")) URL.revokeObjectURL(video.src);
  if (camera && from !== camera) for (const part of camera.getTracks()) part.stop();
  note.textContent = "";
  if (from === camera && camera) {
    video.removeAttribute("src");
    video.srcObject = camera;
  } else {
    [camera, video.srcObject, video.src] = [null, null, from];
  }
  masks = how;
  wear();
  video.play().catch(() => {});
}

/** To the sample again, with a word why. */
function back(why) {
  document.querySelector("[name=source][value=sample]").checked = true;
  if (!masks.track) sources.sample();
  note.textContent = why;
}

// What is made visible.
const overlay = at("outline");
const timings = at("timings");
let shownAt = 0;

function report(stats) {
  if (!overlay.hidden) overlay.firstElementChild.setAttribute("d", stats && handle ? handle.outline : "");
  if (stats && masks.live) note.textContent = stats.state === "late" ? handle?.source.error || "Waiting for masks" : "";
  if (timings.hidden || !stats || performance.now() - shownAt < 150) return;
  shownAt = performance.now();
  timings.replaceChildren(...Object.entries(facts(stats)).map(fact));
}

function facts(stats) {
  const live = handle?.source.counts;
  const shown = {
    Frame: `${stats.time.toFixed(0)} ms`,
    Mask: stats.pts === null ? "–" : `${stats.pts.toFixed(0)} ms`,
    Lag: stats.lag === null ? "–" : `${(Math.round(10 * stats.lag) / 10 + 0).toFixed(1)} ms`,
    Work: `${stats.work.toFixed(2)} ms`,
    Person: `${(100 * stats.coverage).toFixed(1)} %`,
    Missed: `${stats.missed} of ${stats.frames}`,
  };
  if (!live) return shown;
  return { ...shown, "Round trip": `${handle.source.roundTrip.toFixed(0)} ms`, Masks: live.masks, Skipped: live.skipped };
}

function fact([name, value]) {
  const row = document.createElement("div");
  row.append(Object.assign(document.createElement("dt"), { textContent: name }));
  row.append(Object.assign(document.createElement("dd"), { textContent: value }));
  return row;
}

at("show-outline").addEventListener("change", ({ target }) => {
  overlay.toggleAttribute("hidden", !target.checked);
  handle?.refresh();
});
at("show-timings").addEventListener("change", ({ target }) => {
  timings.hidden = !target.checked;
  handle?.refresh();
});
for (const radio of document.querySelectorAll("[name=side]")) radio.addEventListener("change", wear);

at("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = at("words").value.trim();
  if (words) comments.say(words);
  at("words").value = "";
});

wear();
if (!matchMedia("(prefers-reduced-motion: reduce)").matches) video.play().catch(() => {});
