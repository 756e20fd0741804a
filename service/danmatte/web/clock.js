/** Which frame is on the screen, and which will be there at the next repaint. */

const FORESIGHT_MS = 60; // past a frame's own time; who needs more has stalled
const SIGHTINGS = 8; // that the clock goes by: all ways in which 24 to 60 frames a second fall on repaints
const JUMP_MS = 500;
const EARLY_MS = 0.5;
const PLACE_MS = 500;

/**
 * Calls back with the time of every frame that is shown, in milliseconds of the video.
 *
 * With `requestVideoFrameCallback` that time is exact. Elsewhere `currentTime` is asked before every
 * repaint, which may be a frame off while the video plays.
 *
 * @param {HTMLVideoElement} video
 * @param {(ms: number) => void} onframe
 * @returns {() => void} stops it
 */
export function everyFrame(video, onframe) {
  const stop = knowsFrames(video) ? byFrame(video, (_now, frame) => onframe(frame.mediaTime * 1000)) : byRepaint(video, onframe);
  return together(stop, byFirst(video, onframe));
}

/**
 * Calls back before every repaint that shows another frame, with that frame's time in milliseconds of the video.
 *
 * Frames are announced up to a repaint late; what is painted then meets the frame after. So while the video
 * plays, the frame of the coming repaint is foreseen from the last ones. At a standstill the time is exact.
 *
 * @param {HTMLVideoElement} video
 * @param {(ms: number) => void} onframe
 * @returns {() => void} stops it
 */
export function everyRepaint(video, onframe) {
  if (!knowsFrames(video)) return everyFrame(video, onframe);
  const forecast = new Forecast();
  let [id, last] = [0, NaN];
  const look = (now) => {
    const ms = forecast.at(now, pace(video), 1000 * video.duration);
    if (ms === null || ms === last) return;
    last = ms;
    onframe(ms);
  };
  const repaint = (now) => {
    id = requestAnimationFrame(repaint);
    forecast.tick(now);
    look(now);
  };
  const stop = byFrame(video, (now, frame) => {
    forecast.see(now, frame, pace(video));
    look(now);
  });
  id = requestAnimationFrame(repaint);
  return together(stop, byFirst(video, onframe), () => cancelAnimationFrame(id));
}

const knowsFrames = (video) => "requestVideoFrameCallback" in video;
const together = (...stops) => () => stops.forEach((stop) => stop());

/** Milliseconds of the video in one of the viewer's; 0 at a standstill. */
function pace(video) {
  return video.paused || video.seeking || video.ended || video.readyState < 3 ? 0 : video.playbackRate;
}

/**
 * Draws every frame on a canvas over the video, and calls back with the time of the one that was drawn, in
 * milliseconds of the video: picture and masks are painted in one, whatever the machine is busy with.
 *
 * @param {HTMLVideoElement} video whose parent holds it in place; comments come after it in the document
 * @param {(ms: number) => void} onframe called where a style still changes together with the drawing
 * @returns {() => void} takes the canvas away
 */
export function everyDrawing(video, onframe) {
  const canvas = document.createElement("canvas");
  canvas.style.cssText = "position:absolute;pointer-events:none;box-sizing:border-box";
  video.after(canvas);
  const context = canvas.getContext("2d");
  let placed = -Infinity;
  const place = () => {
    placed = performance.now();
    cover(canvas, video);
  };
  const sizes = new ResizeObserver(place);
  for (const element of [video, video.offsetParent ?? document.body]) sizes.observe(element);
  const clear = () => (canvas.width = 0);
  const draw = (ms) => {
    if (performance.now() - placed > PLACE_MS) place();
    onframe(drawn(context, video) ?? ms);
  };
  video.addEventListener("emptied", clear);
  const stop = everyFrame(video, draw);
  return () => {
    stop();
    sizes.disconnect();
    video.removeEventListener("emptied", clear);
    canvas.remove();
  };
}

/** A clock that is set by the frames that were seen; needs no browser. */
export class Forecast {
  /** @type {{ms: number, due: number, count: number}[]} of a stretch without a break, the newest last */
  #seen = [];
  #pace = 0;
  #period = Infinity;
  #ticks = [];
  #soonest = 0; // that a frame was announced before it was due

  /** @param {number} now of a repaint */
  tick(now) {
    this.#ticks.push(now);
    if (this.#ticks.length > SIGHTINGS) this.#ticks.shift();
  }

  /**
   * @param {number} now of the callback
   * @param {VideoFrameCallbackMetadata} frame
   * @param {number} pace milliseconds of the video in one of the viewer's; 0 at a standstill
   */
  see(now, { mediaTime, expectedDisplayTime, presentedFrames }, pace) {
    const frame = { ms: mediaTime * 1000, due: expectedDisplayTime, count: presentedFrames };
    const step = frame.ms - (this.#seen.at(-1)?.ms ?? Infinity);
    if (step > 0 && step < JUMP_MS && frame.count === this.#seen.at(-1).count + 1) this.#period = step;
    if (pace !== this.#pace || step <= 0 || step > JUMP_MS || this.#late(frame)) this.#seen = [];
    this.#pace = pace;
    this.#soonest = Math.max(this.#soonest, frame.due - now);
    this.#seen.push(frame);
    if (this.#seen.length > SIGHTINGS) this.#seen.shift();
  }

  /**
   * The frame on the screen after this repaint, or null when none was seen.
   *
   * @param {number} now of the repaint
   * @param {number} pace
   * @param {number} end of the video in milliseconds, where nothing is foreseen
   */
  at(now, pace, end = Infinity) {
    const newest = this.#seen.at(-1);
    if (!newest) return null;
    if (pace !== this.#pace || pace <= 0 || this.#seen.length < 3) return newest.ms;
    const beat = this.#beat();
    const due = now + Math.min(beat, this.#soonest); // at once in some browsers, a repaint later in others
    if (due - newest.due < beat / 2) return newest.ms; // that's the one, it was announced in time
    const ahead = this.#clock(due) - newest.ms + EARLY_MS;
    const steps = Math.floor(Math.min(ahead, this.#period + pace * FORESIGHT_MS) / this.#period);
    const ms = newest.ms + Math.max(0, steps || 0) * this.#period;
    return ms < end ? ms : newest.ms;
  }

  /** The time of a frame that would just have begun when the screen shows it: what was shown earliest tells. */
  #clock(due) {
    return Math.max(...this.#seen.map((frame) => frame.ms - this.#pace * frame.due)) + this.#pace * due;
  }

  /** Milliseconds from one repaint to the next. */
  #beat() {
    const gaps = this.#ticks.slice(1).map((now, at) => now - this.#ticks[at]);
    return gaps.sort((one, other) => one - other)[gaps.length >> 1] ?? 0;
  }

  /** Whether the video stood still meanwhile, or can't keep up: what was learnt before misleads. */
  #late(frame) {
    return this.#seen.length > 0 && this.#clock(frame.due) - frame.ms > 2 * this.#period;
  }
}

function byFrame(video, shown) {
  let id = 0;
  const call = (now, frame) => {
    id = video.requestVideoFrameCallback(call);
    shown(now, frame);
  };
  id = video.requestVideoFrameCallback(call);
  return () => video.cancelVideoFrameCallback(id);
}

/** The first frame of a paused video is not always announced. */
function byFirst(video, onframe) {
  const first = () => onframe(video.currentTime * 1000);
  video.addEventListener("loadeddata", first);
  if (video.readyState >= 2) first();
  return () => video.removeEventListener("loadeddata", first);
}

function byRepaint(video, onframe) {
  let id = 0;
  let last = -1;
  const look = () => {
    if (video.readyState < 2 || video.seeking || video.currentTime === last) return;
    last = video.currentTime;
    onframe(last * 1000);
  };
  const repaint = () => {
    id = requestAnimationFrame(repaint);
    look();
  };
  const events = ["seeked", "timeupdate"];
  for (const name of events) video.addEventListener(name, look);
  id = requestAnimationFrame(repaint);
  return () => {
    cancelAnimationFrame(id);
    for (const name of events) video.removeEventListener(name, look);
  };
}

/** Draws what the video shows; its time, where the browser tells it: a frame may be newer than its announcement. */
function drawn(context, video) {
  const { canvas } = context;
  const [width, height] = [video.videoWidth, video.videoHeight];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const frame = taken(video);
  context.drawImage(frame ?? video, 0, 0, width, height);
  const ms = frame ? frame.timestamp / 1000 : null;
  frame?.close();
  return ms;
}

/** The frame with its time; null for videos from elsewhere, which may be drawn only, and in browsers without such frames. */
function taken(video) {
  try {
    return "srcObject" in video && video.srcObject ? null : new VideoFrame(video);
  } catch {
    return null;
  }
}

/** Puts the canvas where the video's content is. */
function cover(canvas, video) {
  const { objectFit, objectPosition, padding, transform, transformOrigin, zIndex, borderRadius } = getComputedStyle(video);
  Object.assign(canvas.style, {
    left: `${video.offsetLeft + video.clientLeft}px`,
    top: `${video.offsetTop + video.clientTop}px`,
    width: `${video.clientWidth}px`,
    height: `${video.clientHeight}px`,
    ...{ objectFit, objectPosition, padding, transform, transformOrigin, zIndex, borderRadius },
  });
}
