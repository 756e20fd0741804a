/** A hidden copy of a video that runs ahead, so that masks are there before their frames. */

import { everyFrame } from "./clock.js";

const DRIFT_S = 0.4;
const LOOK_MS = 200;

/**
 * @param {HTMLVideoElement} video from an address that can be opened twice
 * @param {number} ahead seconds
 * @param {(ms: number, copy: HTMLVideoElement) => void} onframe
 * @returns {{stop: () => void}}
 */
export function scout(video, ahead, onframe) {
  const copy = document.createElement("video");
  Object.assign(copy, { muted: true, playsInline: true, preload: "auto", crossOrigin: video.crossOrigin });
  copy.src = video.currentSrc; // of a `source` element, too
  const follow = () => lead(video, copy, ahead);
  const timer = setInterval(follow, LOOK_MS);
  const halt = everyFrame(copy, (ms) => onframe(ms, copy));
  for (const name of ["play", "pause", "seeked"]) video.addEventListener(name, follow);
  return {
    stop() {
      clearInterval(timer);
      halt();
      for (const name of ["play", "pause", "seeked"]) video.removeEventListener(name, follow);
      copy.removeAttribute("src");
      copy.load();
    },
  };
}

/** Keeps the copy in front; a video that loops has its beginning there after its end. */
function lead(video, copy, ahead) {
  if (copy.readyState < 1 || copy.seeking) return;
  const { duration } = copy;
  let goal = video.currentTime + ahead;
  if (goal > duration) goal = video.loop ? goal % duration : duration;
  const away = Math.abs(copy.currentTime - goal);
  const drift = video.loop ? Math.min(away, duration - away) : away;
  if (drift > DRIFT_S) copy.currentTime = goal;
  copy.loop = video.loop;
  copy.playbackRate = video.playbackRate;
  if (video.paused === copy.paused) return;
  if (video.paused) copy.pause();
  else copy.play().catch(() => {});
}
