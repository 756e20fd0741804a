/**
 * Comments behind people, for any video element and any layer of comments over it.
 *
 *     import { attach } from "./danmatte.js";
 *     const handle = attach(video, layer, { track: "film.mattes" });
 *     handle.detach();
 *
 * The layer is clipped to where nobody stands, frame by frame. What is shown when no mask is at hand is the
 * caller's choice (`late`); a mask is never shown across a cut.
 */

import { drawFrames, watchFrames, watchRepaints } from "./frame-clock.js";
import { openLive } from "./live.js";
import { toClipPath, toPathData } from "./outline.js";
import { isSamePlace, measurePlace } from "./placement.js";
import { openTrack } from "./track.js";

export { openLive, openTrack };

/**
 * Where masks come from.
 *
 * @typedef {object} Source
 * @property {(ms: number) => import("./timeline.js").Mask | null} at the mask for a frame, at once, or null
 * @property {(ms: number, video: HTMLVideoElement) => void} want called for every frame that is shown
 * @property {() => void} onchange set by the attachment; the source calls it when it has more
 * @property {() => void} close
 * @property {string} [error] why there are no masks, in words
 */

/**
 * @typedef {object} Options
 * @property {string | URL} [track] a mask track, ours or `.webmask`
 * @property {string | URL | true | import("./live.js").LiveOptions} [live] a service's `/v1/stream`; true is this module's own server
 * @property {Source} [source] instead of the two, one that was opened before
 * @property {"dim" | "show" | "hide"} [late] how comments look while no mask is at hand: faint unless given
 * @property {"screen" | "exact"} [sync] masks for the frame that the browser puts on the screen, predicted while it
 *   plays; or the page draws the video itself, on a canvas over it, and masks are exact. `screen` unless given; exact
 *   isn't for protected videos and loses what HDR adds
 * @property {(stats: Stats) => void} [onframe] called after every frame
 */

/**
 * @typedef {object} Stats
 * @property {number} time of the frame on the screen after this repaint, in milliseconds
 * @property {number | null} pts of the mask that is used for it
 * @property {number | null} lag between the two
 * @property {"masked" | "nobody" | "late"} state
 * @property {boolean} held the mask is repeated from a frame before
 * @property {number} coverage the person's share of the frame
 * @property {number} work milliseconds that this frame took here
 * @property {number} frames seen so far
 * @property {number} missed of them, without a mask
 */

const OPACITY = { dim: 0.3, show: 1, hide: 0 };
const MEASURE_MS = 500; // how often the page is measured again
const PAUSED_MS = 500; // how often a paused video's frame is looked at again
const FADE_MS = 200;

/** @type {WeakMap<HTMLElement, Attachment>} */
const attachments = new WeakMap();

/**
 * Lets the layer's comments pass behind the people in the video; takes the place of the layer's last attachment.
 *
 * @param {HTMLVideoElement} video
 * @param {HTMLElement} layer the element that holds the comments, a canvas too; best of the video's own size
 * @param {Options} options
 * @returns {Attachment}
 */
export function attach(video, layer, options) {
  attachments.get(layer)?.detach();
  const attachment = new Attachment(video, layer, options);
  attachments.set(layer, attachment);
  return attachment;
}

/** One video, one layer, one source of masks; made by `attach`. */
export class Attachment {
  /** @type {HTMLVideoElement} */
  #video;
  /** @type {HTMLElement} */
  #layer;
  /** @type {Options & {late: "dim" | "show" | "hide"}} */
  #options;
  #style; // the layer's own, given back by `detach`
  /** @type {(() => void)[]} */
  #stops = [];
  /** @type {import("./outline.js").Outline | null} */
  #outline = null;
  /** @type {import("./outline.js").Place | null} */
  #place = null;
  #measuredAt = -Infinity;
  #clip = "none";
  #filter = "none";

  /**
   * @param {HTMLVideoElement} video
   * @param {HTMLElement} layer
   * @param {Options} options
   */
  constructor(video, layer, options) {
    if (!options.source && !options.track && !options.live) {
      throw new TypeError("attach: expected one of track, live and source");
    }
    [this.#video, this.#layer, this.#options] = [video, layer, { ...options, late: options.late ?? "dim" }];
    const { clipPath, filter } = layer.style;
    this.#style = { clipPath, filter };
    /** @type {Source} */
    this.source = options.source ?? (options.track ? openTrack(options.track) : openLive(options.live || true));
    this.source.onchange = () => this.refresh();
    /** @type {Stats} */
    this.stats = { time: 0, pts: null, lag: null, state: "late", held: false, coverage: 0, work: 0, frames: 0, missed: 0 };
    this.#watchSizes();
    // While nothing new is shown, masks on the way may arrive, or have to be asked for again.
    const timer = setInterval(() => video.paused && this.refresh(), PAUSED_MS);
    this.#stops.push(() => clearInterval(timer));
    this.#stops.push(watchFrames(video, (ms) => this.source.want(ms, video)));
    const follow = this.#options.sync === "exact" && !video.mediaKeys ? drawFrames : watchRepaints;
    this.#stops.push(
      follow(video, (ms) => {
        this.stats.frames += 1;
        this.#show(ms);
        if (this.stats.state === "late") this.stats.missed += 1;
      }),
    );
    if (!this.stats.frames) this.#applyStyle("none", "late");
  }

  /** Measures the page again and repeats the last frame; needed after moving the video within the layer. */
  refresh() {
    if (!this.stats.frames) return;
    this.#measuredAt = -Infinity;
    this.source.want(this.stats.time, this.#video);
    this.#show(this.stats.time);
  }

  /** The outline on the screen as SVG path data in the layer's pixels; empty when nothing is masked. */
  get outline() {
    return this.#outline && this.#place ? toPathData(this.#outline, this.#place) : "";
  }

  /** Leaves the layer as it was found. A source that was handed over ready stays open. */
  detach() {
    if (!this.#stops.length) return;
    for (const stop of this.#stops.splice(0)) stop();
    this.source.onchange = () => {};
    if (!this.#options.source) this.source.close();
    Object.assign(this.#layer.style, this.#style);
  }

  #watchSizes() {
    const measure = () => this.refresh();
    const sizes = new ResizeObserver(measure);
    for (const element of [this.#video, this.#layer]) sizes.observe(element);
    this.#video.addEventListener("resize", measure);
    document.addEventListener("fullscreenchange", measure);
    this.#stops.push(() => {
      sizes.disconnect();
      this.#video.removeEventListener("resize", measure);
      document.removeEventListener("fullscreenchange", measure);
    });
  }

  /** @param {number} ms time of the frame on the screen */
  #show(ms) {
    const began = performance.now();
    const mask = this.source.at(ms);
    const place = this.#measure(began);
    const outline = mask?.shape.outline ?? null;
    if (outline !== this.#outline || place !== this.#place) {
      [this.#outline, this.#place] = [outline, place];
      this.#clip = outline?.rings.length ? toClipPath(outline, place) : "none";
    }
    const state = !mask ? "late" : this.#clip === "none" ? "nobody" : "masked";
    this.#applyStyle(this.#clip, state);
    Object.assign(this.stats, {
      time: ms,
      pts: mask?.pts ?? null,
      lag: mask ? ms - mask.pts : null,
      state,
      held: mask?.held ?? false,
      coverage: mask?.coverage ?? 0,
      work: performance.now() - began,
    });
    this.#options.onframe?.(this.stats);
  }

  /**
   * The picture's place in the layer; the same object as long as nothing has moved.
   *
   * @param {number} now
   */
  #measure(now) {
    const known = this.#place;
    if (known && now - this.#measuredAt < MEASURE_MS) return known;
    this.#measuredAt = now;
    const place = measurePlace(this.#video, this.#layer);
    return known && isSamePlace(known, place) ? known : place;
  }

  /**
   * Clips the layer. Comments turn faint at once, and back to full strength gently; by a filter, as `opacity` is what
   * comment libraries set.
   *
   * @param {string} clip
   * @param {Stats["state"]} state
   */
  #applyStyle(clip, state) {
    const { style } = this.#layer;
    const filter = state === "late" ? `opacity(${OPACITY[this.#options.late]})` : this.#style.filter;
    if (style.clipPath !== clip) style.clipPath = clip;
    if (this.#filter === filter) return;
    if (state !== "late") this.#layer.animate({ filter: [this.#filter, filter || "none"] }, FADE_MS);
    style.filter = this.#filter = filter;
  }
}
