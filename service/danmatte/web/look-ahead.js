/** A hidden copy of a video that runs ahead of it, so that masks are there before their frames. */

import { watchFrames } from "./frame-clock.js";

const DRIFT_S = 0.4; // a copy that is further off its place is moved there
const CHECK_MS = 200;
const EVENTS = ["play", "pause", "seeked"];

/**
 * @param {HTMLVideoElement} video from an address that can be opened twice
 * @param {number} ahead seconds
 * @param {(ms: number, copy: HTMLVideoElement) => void} onframe called for every frame of the copy
 * @param {() => void} [onfail] called where the film can't be opened twice, as one that a script puts together
 * @returns {{stop: () => void}}
 */
export function startLookAhead(video, ahead, onframe, onfail = () => {}) {
  const copy = document.createElement("video");
  Object.assign(copy, { muted: true, playsInline: true, preload: "auto", crossOrigin: video.crossOrigin });
  copy.addEventListener("error", onfail);
  copy.src = video.currentSrc; // that of a `source` element, too
  const follow = () => {
    if (copy.readyState < 1 || copy.seeking) return;
    const { duration } = copy;
    let goal = video.currentTime + ahead;
    // After the end of a video that loops comes its beginning.
    if (goal > duration) goal = video.loop ? goal % duration : duration;
    const away = Math.abs(copy.currentTime - goal);
    const drift = video.loop ? Math.min(away, duration - away) : away;
    if (drift > DRIFT_S) copy.currentTime = goal;
    copy.loop = video.loop;
    copy.playbackRate = video.playbackRate;
    // At its end the copy waits: played again it would begin anew.
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
