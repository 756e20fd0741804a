/** A hidden copy of a video that runs ahead of it, so that masks arrive before their frames are shown. */

import { watchFrames } from "./frame-clock.js";

const DRIFT_S = 0.4; // the copy seeks if it is further than this from its target position
const CHECK_MS = 200;
const EVENTS = ["play", "pause", "seeked"];

/**
 * Starts the copy.
 *
 * @param {HTMLVideoElement} video from an address that can be opened twice
 * @param {number} ahead seconds
 * @param {(ms: number, copy: HTMLVideoElement) => void} onframe called for every frame of the copy
 * @param {() => void} [onfail] called if the film can't be opened twice, such as one that a script assembles (Media Source Extensions)
 * @returns {{stop: () => void}}
 */
export function startLookAhead(video, ahead, onframe, onfail = () => {}) {
  const copy = document.createElement("video");
  Object.assign(copy, { muted: true, playsInline: true, preload: "auto", crossOrigin: video.crossOrigin });
  copy.addEventListener("error", onfail);
  copy.src = video.currentSrc; // also covers videos with `source` elements
  const follow = () => {
    if (copy.readyState < 1 || copy.seeking) return;
    const { duration } = copy;
    let goal = video.currentTime + ahead;
    // A looping video continues at its beginning.
    if (goal > duration) goal = video.loop ? goal % duration : duration;
    const away = Math.abs(copy.currentTime - goal);
    const drift = video.loop ? Math.min(away, duration - away) : away;
    if (drift > DRIFT_S) copy.currentTime = goal;
    copy.loop = video.loop;
    copy.playbackRate = video.playbackRate;
    // At its end the copy stays paused, because `play` would start it from the beginning.
    if (video.paused === copy.paused || (copy.ended && goal === duration)) return;
    if (video.paused) copy.pause();
    else copy.play().catch(() => {});
  };
  const timer = setInterval(follow, CHECK_MS);
  const stopFrames = watchFrames(copy, (ms) => onframe(ms, copy));
  for (const name of EVENTS) video.addEventListener(name, follow);
  return {
    stop() {
      clearInterval(timer);
      stopFrames();
      for (const name of EVENTS) video.removeEventListener(name, follow);
      copy.removeEventListener("error", onfail);
      copy.removeAttribute("src");
      copy.load();
    },
  };
}
