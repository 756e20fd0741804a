/** Which frame of a video is on the screen now, and which one will be after the next repaint. */

import { SLACK_MS } from "./timeline.js";

/**
 * @typedef {(ms: number) => void} FrameCallback called with a frame's time, in milliseconds of the video
 * @typedef {() => void} Stop cancels the callbacks
 */

const FORESIGHT_MS = 60; // maximum time after the newest frame for a prediction; a video that needs more has stalled
const MEMORY = 8; // frames and repaints remembered: enough for all alignments of 24 to 60 frames a second with repaints
const JUMP_MS = 500; // a longer step between two frames is a seek
const EARLY_MS = 0.5;
const ROUNDED_MS = 1; // maximum error of a track's times, which are whole milliseconds
const PLACE_MS = 500; // interval at which the canvas's place on the page is checked
const NEAR_MS = 1000; // if a frame's timestamp is further than this from the video's time, it is on another clock
/** Styles that the canvas copies from the video, so that it looks the same. */
const SHARED_STYLES = /** @type {const} */ ([
  ...["objectFit", "objectPosition", "padding", "transform", "transformOrigin", "translate", "rotate", "scale"],
  ...["zIndex", "borderRadius", "clipPath", "filter", "visibility"],
]);

/**
 * Calls `onframe` with the time of every frame that is shown.
 *
 * With `requestVideoFrameCallback` that time is exact. Without it, `currentTime` is read before every repaint; that
 * may be one frame off while the video plays.
 *
 * @param {HTMLVideoElement} video
 * @param {FrameCallback} onframe
 * @returns {Stop}
 */
export function watchFrames(video, onframe) {
  if (hasFrameCallbacks(video)) {
    const stop = requestFrames(video, (_now, _frame, ms) => onframe(ms));
    return stopAll(stop, watchFirstFrame(video, onframe));
  }
  let last = -1;
  const check = () => {
    if (video.readyState < 2 || video.seeking || video.currentTime === last) return;
    last = video.currentTime;
    onframe(leadBack(last * 1000));
  };
  const events = ["seeked", "timeupdate"];
  for (const name of events) video.addEventListener(name, check);
  return stopAll(requestRepaints(video, check), watchFirstFrame(video, onframe), () => {
    for (const name of events) video.removeEventListener(name, check);
  });
}

/**
 * Calls `onframe` before every repaint that shows another frame, with that frame's time.
 *
 * Browsers announce a frame up to one repaint late, and a mask set at that moment would be shown with the next frame.
 * So while the video plays, the frame of the next repaint is predicted from the last ones. While it is paused the time is exact.
 *
 * @param {HTMLVideoElement} video
 * @param {FrameCallback} onframe
 * @returns {Stop}
 */
export function watchRepaints(video, onframe) {
  if (!hasFrameCallbacks(video)) return watchFrames(video, onframe);
  const forecast = new FrameForecast();
  let last = NaN;
  /** @param {number} now */
  const check = (now) => {
    const ms = forecast.predict(now, readRate(video), 1000 * video.duration);
    if (ms === null || ms === last) return;
    last = ms;
    onframe(ms);
  };
  const stop = requestFrames(video, (now, { expectedDisplayTime, presentedFrames }, ms) => {
    forecast.addFrame(now, { mediaTime: ms / 1000, expectedDisplayTime, presentedFrames }, readRate(video));
    check(now);
  });
  const stopRepaints = requestRepaints(video, (now) => {
    forecast.addRepaint(now);
    check(now);
  });
  return stopAll(stop, stopRepaints, watchFirstFrame(video, onframe));
}

/**
 * Draws every frame on a canvas over the video, and calls `onframe` with the drawn frame's time. Frame and mask are
 * then painted together, even under load.
 *
 * @param {HTMLVideoElement} video positioned by its parent; the comments come after it in the document
 * @param {FrameCallback} onframe style changes made in this call are painted together with the drawn frame
 * @returns {Stop} also removes the canvas
 */
export function drawFrames(video, onframe) {
  const canvas = document.createElement("canvas");
  canvas.style.cssText = "position:absolute;pointer-events:none;box-sizing:border-box";
  video.after(canvas);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  let placedAt = -Infinity;
  const place = () => {
    placedAt = performance.now();
    const style = getComputedStyle(video);
    Object.assign(canvas.style, {
      left: `${video.offsetLeft + video.clientLeft}px`,
      top: `${video.offsetTop + video.clientTop}px`,
      width: `${video.clientWidth}px`,
      height: `${video.clientHeight}px`,
      ...Object.fromEntries(SHARED_STYLES.map((name) => [name, style[name]])),
    });
  };
  const sizes = new ResizeObserver(place);
  for (const element of [video, video.offsetParent ?? document.body]) sizes.observe(element);
  const clear = () => void (canvas.width = 0);
  video.addEventListener("emptied", clear);
  const stop = watchFrames(video, (ms) => {
    if (performance.now() - placedAt > PLACE_MS) place();
    const [width, height] = [video.videoWidth, video.videoHeight];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    // The frame may be newer than the announced one, so its own timestamp is used. Without `VideoFrame`, or with a video
    // from another origin, the announced time is the best available.
    const frame = takeFrame(video);
    context.drawImage(frame ?? video, 0, 0, width, height);
    const drawn = frame ? frame.timestamp / 1000 : ms;
    frame?.close();
    onframe(drawn);
  });
  return () => {
    stop();
    sizes.disconnect();
    video.removeEventListener("emptied", clear);
    canvas.remove();
  };
}

/**
 * Converts frame times to times within the video. In Firefox, frame times keep growing when a video loops; they are
 * compared with `currentTime`, which starts again at 0.
 */
export class LoopClock {
  #start = 0; // of this round, in Firefox's frame time
  #last = -Infinity;
  #first = NaN; // time of the video's first frame, if it was seen
  #period = 0; // length of a round, which differs slightly from the duration; known once two consecutive rounds began with a seen frame
  #isExact = true; // whether the first frame of this round was seen
  #count = 0;

  /**
   * @param {number} ms time of the frame as announced
   * @param {HTMLVideoElement} video
   * @param {number} [count] frames presented so far; without it, rounds are assumed to start at multiples of the duration
   */
  unroll(ms, video, count = NaN) {
    if (!isFirefox(video)) return ms;
    const [now, length] = [1000 * video.currentTime, 1000 * video.duration];
    if (ms < this.#last) [this.#start, this.#isExact] = [0, true]; // a seek resets Firefox's frame time
    if (!this.#start && (ms < EARLY_MS || (count === 1 && now < EARLY_MS))) this.#first = ms;
    const within = ms - this.#start;
    // The frame time is past the end of the round. `currentTime` has started again, or will a little later.
    if (video.loop && length > 0 && within >= length - EARLY_MS && now < length + EARLY_MS) {
      // The first frame of a round gives its exact start. If that frame was dropped, the period or the duration is used.
      const isFirst = count === this.#count + 1 && this.#first >= 0;
      const rounds = Math.floor((within + EARLY_MS) / length);
      const start = isFirst ? ms - this.#first : this.#start + rounds * (this.#period || length);
      if (isFirst && this.#isExact && rounds === 1) this.#period = start - this.#start;
      [this.#start, this.#isExact] = [start, isFirst];
    }
    [this.#last, this.#count] = [ms, count];
    return ms - this.#start;
  }
}

/** Predicts which frame a repaint will show, from the frames and repaints before it. Uses no browser API. */
export class FrameForecast {
  /** @type {{ms: number, due: number, count: number}[]} frames of uninterrupted playback, the newest last */
  #frames = [];
  #rate = 0;
  #period = Infinity; // from one frame to the next, in milliseconds of the video
  /** @type {number[]} */
  #repaints = [];
  #soonest = 0; // the maximum time between a frame's announcement and its expected display

  /** @param {number} now the time of a repaint */
  addRepaint(now) {
    this.#repaints.push(now);
    if (this.#repaints.length > MEMORY) this.#repaints.shift();
  }

  /**
   * @param {number} now the time of the announcement
   * @param {Pick<VideoFrameCallbackMetadata, "mediaTime" | "expectedDisplayTime" | "presentedFrames">} announced
   * @param {number} rate playback rate; 0 while the video is paused or stalled
   */
  addFrame(now, { mediaTime, expectedDisplayTime, presentedFrames }, rate) {
    const frame = { ms: mediaTime * 1000, due: expectedDisplayTime, count: presentedFrames };
    const before = this.#frames.at(-1);
    const step = frame.ms - (before?.ms ?? Infinity);
    if (before && step > 0 && step < JUMP_MS && frame.count === before.count + 1) this.#period = step;
    // After a seek, a change of rate or a stall, earlier frames would make predictions wrong, so they are discarded.
    const hasStalled = this.#frames.length > 0 && this.#readClock(frame.due) - frame.ms > 2 * this.#period;
    if (rate !== this.#rate || step <= 0 || step > JUMP_MS || hasStalled) this.#frames = [];
    this.#rate = rate;
    this.#soonest = Math.max(this.#soonest, frame.due - now);
    this.#frames.push(frame);
    if (this.#frames.length > MEMORY) this.#frames.shift();
  }

  /**
   * The time of the frame that this repaint will show, or null before the first frame.
   *
   * @param {number} now the time of the repaint
   * @param {number} rate
   * @param {number} end of the video in milliseconds; no frame is predicted after it
   */
  predict(now, rate, end = Infinity) {
    const newest = this.#frames.at(-1);
    if (!newest) return null;
    if (rate !== this.#rate || rate <= 0 || this.#frames.length < 3) return newest.ms;
    const gaps = this.#repaints.slice(1).map((at, number) => at - this.#repaints[number]);
    const interval = gaps.sort((one, other) => one - other)[gaps.length >> 1] ?? 0; // the median interval between repaints
    const due = now + Math.min(interval, this.#soonest); // some browsers show the frame at once, others one repaint later
    if (due - newest.due < interval / 2) return newest.ms; // the newest frame was announced in time: no prediction needed
    const ahead = this.#readClock(due) - newest.ms + EARLY_MS;
    const steps = Math.floor(Math.min(ahead, this.#period + rate * FORESIGHT_MS) / this.#period);
    const ms = newest.ms + Math.max(0, steps || 0) * this.#period;
    return ms < end ? ms : newest.ms;
  }

  /**
   * The position of the video, in milliseconds, at this display time. Frames are shown on time or late, never early, so the
   * position is computed from the remembered frame with the smallest delay.
   *
   * @param {number} due
   */
  #readClock(due) {
    return Math.max(...this.#frames.map((frame) => frame.ms - this.#rate * frame.due)) + this.#rate * due;
  }
}

/** @param {object} video */
export const isFirefox = (video) => "mozHasAudio" in video;

/** @param {HTMLVideoElement} video */
const hasFrameCallbacks = (video) => "requestVideoFrameCallback" in video;

/** @param {Stop[]} stops */
const stopAll = (...stops) => () => stops.forEach((stop) => stop());

/**
 * The playback rate; 0 while the video is paused, seeking, ended or stalled.
 *
 * @param {HTMLVideoElement} video
 */
function readRate(video) {
  return video.paused || video.seeking || video.ended || video.readyState < 3 ? 0 : video.playbackRate;
}

/**
 * @param {HTMLVideoElement} video
 * @param {(now: number, frame: VideoFrameCallbackMetadata, ms: number) => void} onframe called for every frame (the browser's own
 *   callback is called once), with its time in the video
 * @returns {Stop}
 */
function requestFrames(video, onframe) {
  const loops = new LoopClock();
  let id = 0;
  /** @type {VideoFrameRequestCallback} */
  const call = (now, frame) => {
    id = video.requestVideoFrameCallback(call);
    const ms = loops.unroll(frame.mediaTime * 1000, video, frame.presentedFrames);
    // After a seek, Firefox announces the time that was requested instead of the frame's own.
    const isRequested = isFirefox(video) && video.paused && Math.abs(ms - 1000 * video.currentTime) < EARLY_MS;
    onframe(now, frame, isRequested ? leadBack(ms) : ms);
  };
  id = video.requestVideoFrameCallback(call);
  return () => video.cancelVideoFrameCallback(id);
}

/**
 * The current frame with its timestamp, or null if the browser or the video's origin doesn't allow it. Always null in Firefox, whose
 * timestamps are wrong: they are in seconds instead of microseconds.
 *
 * @param {HTMLVideoElement} video
 */
function takeFrame(video) {
  try {
    return video.srcObject || isFirefox(video) ? null : new VideoFrame(video);
  } catch {
    return null;
  }
}

/**
 * The time of the frame on the screen, in milliseconds. If its timestamp isn't available, a time slightly before `currentTime`.
 *
 * @param {HTMLVideoElement} video
 */
export function readTime(video) {
  const [now, frame] = [1000 * video.currentTime, takeFrame(video)];
  const ms = frame ? frame.timestamp / 1000 : NaN;
  frame?.close();
  return Math.abs(ms - now) < NEAR_MS ? ms : leadBack(now);
}

/**
 * A time within a frame, minus the tolerance used to find masks; otherwise the next frame's mask might be found.
 *
 * @param {number} ms
 */
const leadBack = (ms) => Math.max(0, ms - SLACK_MS + ROUNDED_MS);

/**
 * Calls `onrepaint` before every repaint of the window that contains the video, even if a player moves it to another window.
 *
 * @param {HTMLVideoElement} video
 * @param {(now: number) => void} onrepaint
 * @returns {Stop}
 */
function requestRepaints(video, onrepaint) {
  let cancel = () => {};
  const request = () => {
    const view = video.ownerDocument?.defaultView ?? globalThis;
    const id = view.requestAnimationFrame(repaint);
    cancel = () => view.cancelAnimationFrame(id);
  };
  const repaint = (/** @type {number} */ now) => {
    request();
    onrepaint(now);
  };
  request();
  return () => cancel();
}

/**
 * Calls `onframe` when the first frame is loaded, because browsers don't always announce the first frame of a paused video.
 *
 * @param {HTMLVideoElement} video
 * @param {FrameCallback} onframe
 * @returns {Stop}
 */
function watchFirstFrame(video, onframe) {
  const call = () => onframe(readTime(video));
  video.addEventListener("loadeddata", call);
  if (video.readyState >= 2) call();
  return () => video.removeEventListener("loadeddata", call);
}
