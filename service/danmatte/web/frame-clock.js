/** Which frame of a video is on the screen, and which will be there after the next repaint. */

import { SLACK_MS } from "./timeline.js";

/**
 * @typedef {(ms: number) => void} FrameCallback called with a frame's time, in milliseconds of the video
 * @typedef {() => void} Stop ends what was started
 */

const FORESIGHT_MS = 60; // how far past the newest frame's time a prediction may go; a video that needs more has stalled
const MEMORY = 8; // frames and repaints remembered: every way in which 24 to 60 frames a second fall on repaints
const JUMP_MS = 500; // a longer step between two frames is a seek
const EARLY_MS = 0.5;
const ROUNDED_MS = 1; // by which a track's whole milliseconds may be early
const PLACE_MS = 500; // how often the drawing's place on the page is checked
const NEAR_MS = 1000; // from a frame's own time to the video's; further off, the frame has a clock of its own
/** What a drawing of the video must have as well, to be seen as it is. */
const SHARED_STYLES = /** @type {const} */ ([
  ...["objectFit", "objectPosition", "padding", "transform", "transformOrigin", "translate", "rotate", "scale"],
  ...["zIndex", "borderRadius", "clipPath", "filter", "visibility"],
]);

/**
 * Calls back with the time of every frame that is shown.
 *
 * With `requestVideoFrameCallback` that time is exact. Elsewhere `currentTime` is read before every repaint, which
 * may be a frame off while the video plays.
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
 * Calls back before every repaint that shows another frame, with that frame's time.
 *
 * Browsers announce a frame up to a repaint late; a mask that is set then would meet the frame after it. So while
 * the video plays, the frame of the coming repaint is predicted from the last ones. At a standstill it is exact.
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
 * Draws every frame on a canvas over the video, and calls back with the time of the one that was drawn: picture and
 * mask are painted together, however busy the machine is.
 *
 * @param {HTMLVideoElement} video whose parent positions it; comments come after it in the document
 * @param {FrameCallback} onframe called where a style still changes together with the drawing
 * @returns {Stop} removes the canvas
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
    // A frame may be newer than its announcement, so its own time counts. Videos from another origin may be drawn
    // only, and some browsers have no `VideoFrame`: there the announced time has to do.
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
 * Times of frames within the video. Firefox's clock runs on past the end when a video loops; there a frame's time is
 * compared with `currentTime`, which begins anew.
 */
export class LoopClock {
  #start = 0; // of this round, on the clock that runs on
  #last = -Infinity;
  #first = NaN; // the video's first frame, where that was seen
  #period = 0; // from round to round, once two in a row began with a frame that was seen: not quite the length
  #isExact = true; // whether this round's beginning was seen
  #count = 0;

  /**
   * @param {number} ms of the frame as announced
   * @param {HTMLVideoElement} video
   * @param {number} [count] frames presented so far; without it a round begins where the length says
   */
  unroll(ms, video, count = NaN) {
    if (!isFirefox(video)) return ms;
    const [now, length] = [1000 * video.currentTime, 1000 * video.duration];
    if (ms < this.#last) [this.#start, this.#isExact] = [0, true]; // a seek sets the clock right
    if (!this.#start && (ms < EARLY_MS || (count === 1 && now < EARLY_MS))) this.#first = ms;
    const within = ms - this.#start;
    // The clock that runs on is a round ahead of `currentTime`, or about to be: that one is set back a little later.
    if (video.loop && length > 0 && within >= length - EARLY_MS && now < length + EARLY_MS) {
      // The first frame of a round says when exactly it began; after a dropped one the period has to do, or the length.
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

/** Predicts the frame of a repaint from the frames and repaints before it; needs no browser. */
export class FrameForecast {
  /** @type {{ms: number, due: number, count: number}[]} of a stretch without a break, the newest last */
  #frames = [];
  #rate = 0;
  #period = Infinity; // from one frame to the next, in milliseconds of the video
  /** @type {number[]} */
  #repaints = [];
  #soonest = 0; // the longest time by which a frame was announced before it was due

  /** @param {number} now the time of a repaint */
  addRepaint(now) {
    this.#repaints.push(now);
    if (this.#repaints.length > MEMORY) this.#repaints.shift();
  }

  /**
   * @param {number} now the time of the announcement
   * @param {Pick<VideoFrameCallbackMetadata, "mediaTime" | "expectedDisplayTime" | "presentedFrames">} announced
   * @param {number} rate milliseconds of the video in one of the viewer's; 0 at a standstill
   */
  addFrame(now, { mediaTime, expectedDisplayTime, presentedFrames }, rate) {
    const frame = { ms: mediaTime * 1000, due: expectedDisplayTime, count: presentedFrames };
    const before = this.#frames.at(-1);
    const step = frame.ms - (before?.ms ?? Infinity);
    if (before && step > 0 && step < JUMP_MS && frame.count === before.count + 1) this.#period = step;
    // After a seek, another rate or a stall (it stood still, or can't keep up), what the frames before taught misleads.
    const hasStalled = this.#frames.length > 0 && this.#readClock(frame.due) - frame.ms > 2 * this.#period;
    if (rate !== this.#rate || step <= 0 || step > JUMP_MS || hasStalled) this.#frames = [];
    this.#rate = rate;
    this.#soonest = Math.max(this.#soonest, frame.due - now);
    this.#frames.push(frame);
    if (this.#frames.length > MEMORY) this.#frames.shift();
  }

  /**
   * The time of the frame on the screen after this repaint, or null before the first one.
   *
   * @param {number} now the time of the repaint
   * @param {number} rate
   * @param {number} end of the video in milliseconds; no frame is predicted past it
   */
  predict(now, rate, end = Infinity) {
    const newest = this.#frames.at(-1);
    if (!newest) return null;
    if (rate !== this.#rate || rate <= 0 || this.#frames.length < 3) return newest.ms;
    const gaps = this.#repaints.slice(1).map((at, number) => at - this.#repaints[number]);
    const interval = gaps.sort((one, other) => one - other)[gaps.length >> 1] ?? 0; // the median, from repaint to repaint
    const due = now + Math.min(interval, this.#soonest); // at once in some browsers, a repaint later in others
    if (due - newest.due < interval / 2) return newest.ms; // announced in time: no need to predict
    const ahead = this.#readClock(due) - newest.ms + EARLY_MS;
    const steps = Math.floor(Math.min(ahead, this.#period + rate * FORESIGHT_MS) / this.#period);
    const ms = newest.ms + Math.max(0, steps || 0) * this.#period;
    return ms < end ? ms : newest.ms;
  }

  /**
   * The time of a frame that would just have begun when the screen shows it. Frames are shown on time or late, never
   * early, so the one that was shown earliest sets the clock.
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
 * Milliseconds of the video in one of the viewer's; 0 at a standstill.
 *
 * @param {HTMLVideoElement} video
 */
function readRate(video) {
  return video.paused || video.seeking || video.ended || video.readyState < 3 ? 0 : video.playbackRate;
}

/**
 * @param {HTMLVideoElement} video
 * @param {(now: number, frame: VideoFrameCallbackMetadata, ms: number) => void} onframe called for every frame, not for
 *   the next one only, and with its time in the video
 * @returns {Stop}
 */
function requestFrames(video, onframe) {
  const loops = new LoopClock();
  let id = 0;
  /** @type {VideoFrameRequestCallback} */
  const call = (now, frame) => {
    id = video.requestVideoFrameCallback(call);
    const ms = loops.unroll(frame.mediaTime * 1000, video, frame.presentedFrames);
    // After a seek Firefox announces the time that was asked for, not the frame's own.
    const isAsked = isFirefox(video) && video.paused && Math.abs(ms - 1000 * video.currentTime) < EARLY_MS;
    onframe(now, frame, isAsked ? leadBack(ms) : ms);
  };
  id = video.requestVideoFrameCallback(call);
  return () => video.cancelVideoFrameCallback(id);
}

/**
 * The picture on the screen with its own time; null where the browser or the video's origin doesn't allow it. Firefox puts seconds where
 * microseconds belong.
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
 * When the frame on the screen began, in milliseconds; without its own time a little before the video's.
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
 * A time somewhere within a frame, led back by the tolerance that masks are found with: or it would reach the frame after it.
 *
 * @param {number} ms
 */
const leadBack = (ms) => Math.max(0, ms - SLACK_MS + ROUNDED_MS);

/**
 * Calls back before every repaint of the window that the video is in; players may move it to another one.
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
 * The first frame of a paused video is not always announced.
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
