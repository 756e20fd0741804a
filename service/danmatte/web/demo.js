/** The demo page: one player, three kinds of video, comments behind people or in front of them. */

import { Comments } from "./comments.js";
import { attach } from "./danmatte.js";
import { DEMO_COMMENTS } from "./demo-comments.js";
import { Live } from "./live.js";

/** @typedef {import("./danmatte.js").Stats} Stats */

/**
 * @template {typeof Element} Kind
 * @param {string} selector
 * @param {Kind} kind
 * @returns {InstanceType<Kind>}
 */
function find(selector, kind) {
  const element = document.querySelector(selector);
  if (!(element instanceof kind)) throw new TypeError(`expected ${kind.name} at ${selector}`);
  return /** @type {InstanceType<Kind>} */ (element);
}

/** @param {string} name of radio buttons */
const findRadios = (name) =>
  /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll(`[name=${name}]`));

const stage = find("#stage", HTMLElement);
const video = find("#video", HTMLVideoElement);
const layer = find("#comments", HTMLElement);
const note = find("#note", HTMLElement);
const overlay = find("#outline", SVGElement);
const timings = find("#timings", HTMLElement);
const play = find("#play", HTMLElement);
const rate = find("#rate", HTMLElement);
const seek = find("#seek", HTMLInputElement);
const words = find("#words", HTMLInputElement);
const file = find("#file", HTMLInputElement);
const comments = new Comments(layer, DEMO_COMMENTS);
const RATES = [1, 2, 0.5];
const LEAD_S = 0.7; // how far a hidden copy of the viewer's own video runs ahead of it
const TIMINGS_MS = 150; // interval at which the timings are updated

/** @type {import("./danmatte.js").Attachment | null} */
let handle = null;
/** @type {import("./danmatte.js").Options} */
let masks = { track: "sample.mattes" };
/** @type {MediaStream | null} */
let camera = null;

/** Attaches the masks, or detaches them if comments are to be in front. */
function applyMasks() {
  handle?.detach();
  const behind = find("[name=side]:checked", HTMLInputElement).value === "behind";
  handle = behind ? attach(video, layer, { ...masks, onframe: report }) : null;
  if (!behind) report(null);
}

for (const name of ["play", "pause", "ratechange", "emptied"]) {
  video.addEventListener(name, () => {
    stage.classList.toggle("playing", !video.paused);
    play.ariaLabel = video.paused ? "Play" : "Pause";
    comments.setPace(!video.paused, video.playbackRate);
  });
}

for (const id of ["play", "start", "screen"]) {
  find(`#${id}`, HTMLElement).addEventListener("click", (event) => {
    event.stopPropagation();
    if (video.paused) video.play().catch(() => {});
    else video.pause();
  });
}
rate.addEventListener("click", () => {
  video.playbackRate = RATES[(RATES.indexOf(video.playbackRate) + 1) % RATES.length];
  rate.textContent = `${video.playbackRate === 0.5 ? "½" : video.playbackRate}×`;
});
find("#full", HTMLElement).addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else stage.requestFullscreen?.();
});
seek.addEventListener("input", () => {
  if (Number.isFinite(video.duration)) video.currentTime = Number(seek.value) * video.duration;
});
video.addEventListener("timeupdate", () => {
  const whole = Number.isFinite(video.duration) ? video.duration : 0;
  seek.value = String(whole ? video.currentTime / whole : 0);
  const seconds = Math.floor(video.currentTime);
  find("#clock", HTMLElement).textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
});

/** @type {Record<string, () => unknown>} actions of the buttons that choose a kind of video */
const sources = {
  sample: () => openVideo("sample.webm", { track: "sample.mattes" }),
  file: () => file.click(),
  async camera() {
    const isChosen = () => find("[name=source]:checked", HTMLInputElement).value === "camera"; // the viewer may have chosen another one meanwhile
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, facingMode: "user" }, audio: false });
      if (isChosen()) openVideo(stream, { live: true });
      else for (const track of stream.getTracks()) track.stop();
    } catch {
      if (isChosen()) returnToSample("No camera here");
    }
  },
};
for (const radio of findRadios("source")) radio.addEventListener("click", () => sources[radio.value]());
file.addEventListener("change", () => {
  const [chosen] = file.files ?? [];
  file.value = "";
  if (chosen) openVideo(URL.createObjectURL(chosen), { live: { ahead: LEAD_S } });
});
file.addEventListener("cancel", () => returnToSample(""));
video.addEventListener("error", () => returnToSample("This video can't be played here"));

/**
 * @param {string | MediaStream} from
 * @param {import("./danmatte.js").Options} options that say where its masks come from
 */
function openVideo(from, options) {
  handle?.detach();
  handle = null;
  if (video.src.startsWith("blob:")) URL.revokeObjectURL(video.src);
  if (camera && from !== camera) for (const track of camera.getTracks()) track.stop();
  note.textContent = "";
  if (typeof from === "string") {
    [camera, video.srcObject, video.src] = [null, null, from];
  } else {
    video.removeAttribute("src");
    video.srcObject = camera = from;
  }
  masks = options;
  applyMasks();
  video.play().catch(() => {});
}

/** @param {string} why reason, shown to the viewer */
function returnToSample(why) {
  find("[name=source][value=sample]", HTMLInputElement).checked = true;
  if (!masks.track) sources.sample();
  note.textContent = why;
}

let reportedAt = 0;

/**
 * Shows outline, state and timings of a frame, as far as the viewer has enabled them.
 *
 * @param {Stats | null} stats null if nothing is attached
 */
function report(stats) {
  if (!stats || !overlay.hasAttribute("hidden")) overlay.firstElementChild?.setAttribute("d", stats && handle ? handle.outline : "");
  if (stats && masks.live) note.textContent = stats.state === "late" ? handle?.error || "Waiting for masks" : "";
  if (timings.hidden || !stats || performance.now() - reportedAt < TIMINGS_MS) return;
  reportedAt = performance.now();
  /** @type {Record<string, string | number>} */
  const figures = {
    Frame: `${stats.time.toFixed(0)} ms`,
    Mask: stats.pts === null ? "–" : `${stats.pts.toFixed(0)} ms`,
    Lag: stats.lag === null ? "–" : `${(Math.round(10 * stats.lag) / 10 + 0).toFixed(1)} ms`, // + 0: no "-0.0"
    Work: `${stats.work.toFixed(2)} ms`,
    Person: `${(100 * stats.coverage).toFixed(1)} %`,
    Missed: `${stats.missed} of ${stats.frames}`,
  };
  if (handle?.source instanceof Live) {
    const { roundTrip, counts } = handle.source;
    Object.assign(figures, { "Round trip": `${roundTrip.toFixed(0)} ms`, Masks: counts.masks, Skipped: counts.skipped });
  }
  const rows = Object.entries(figures).map(([name, value]) => {
    const row = document.createElement("div");
    row.append(Object.assign(document.createElement("dt"), { textContent: name }));
    row.append(Object.assign(document.createElement("dd"), { textContent: String(value) }));
    return row;
  });
  timings.replaceChildren(...rows);
}

const showOutline = find("#show-outline", HTMLInputElement);
showOutline.addEventListener("change", () => {
  overlay.toggleAttribute("hidden", !showOutline.checked);
  handle?.refresh();
});
const showTimings = find("#show-timings", HTMLInputElement);
showTimings.addEventListener("change", () => {
  timings.hidden = !showTimings.checked;
  handle?.refresh();
});
for (const radio of findRadios("side")) radio.addEventListener("change", applyMasks);

find("#say", HTMLElement).addEventListener("submit", (event) => {
  event.preventDefault();
  const text = words.value.trim();
  if (text) comments.say(text);
  words.value = "";
});

applyMasks();
if (!matchMedia("(prefers-reduced-motion: reduce)").matches) video.play().catch(() => {});
