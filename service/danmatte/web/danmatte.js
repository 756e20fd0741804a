/**
 * Shows comments behind people, for any video element and any layer of comments over it.
 *
 *     import { attach } from "./danmatte.js";
 *     const handle = attach(video, layer, { track: "film.mattes" });
 *     handle.detach();
 *
 * For every frame, the parts of the layer over people are clipped away. The option `late` sets how comments look while
 * no mask is available. A mask is never shown after a cut that follows its frame.
 */

import { openCues } from "./cues.js";
import { Cutout } from "./cutout.js";
import { findMismatch, findStored, toTrackTime } from "./film.js";
import { drawFrames, isFirefox, readTime, watchFrames, watchRepaints } from "./frame-clock.js";
import { Live, openLive } from "./live.js";
import { growOutline } from "./margin.js";
import { checkElements, checkMasks } from "./options.js";
import { toPathData } from "./outline.js";
import { isSamePlace, measurePlace } from "./placement.js";
import { openPreferences, Preferences } from "./preferences.js";
import { openTrack } from "./track.js";

export { openCues, openLive, openPreferences, openTrack, Preferences };

/** @typedef {import("./options.js").Source} Source */
/** @typedef {import("./options.js").Masks} Masks */
/** @typedef {import("./options.js").Looks} Looks */
/** @typedef {import("./options.js").Options} Options */
/** @typedef {import("./options.js").Stats} Stats */
/** @typedef {import("./options.js").Timing} Timing */

const OPACITY = { dim: 0.3, show: 1, hide: 0 };
const MEASURE_MS = 500; // interval at which the layout of the page is measured again
const CHECK_MS = 500; // interval at which the elements and a paused video's frame are checked again
const UNANNOUNCED_MS = 100; // a paused video further than this from its last announced frame shows another frame
const MAX_ABSENT_CHECKS = 20; // after which an attachment stops whose elements were never added to the page
/** @type {Source} for a film that has no masks */
const NOTHING = Object.freeze({ at: () => null, want() {}, close() {}, onchange() {} });

/** @type {WeakMap<HTMLElement, Attachment>} */
const attachments = new WeakMap();

/**
 * Lets the layer's comments pass behind the people in the video. An earlier attachment of the same layer is detached.
 *
 * @param {HTMLVideoElement} video
 * @param {HTMLElement} layer the element that holds the comments; may be a canvas, and should have the video's size
 * @param {Options} options
 * @returns {Attachment}
 */
export function attach(video, layer, options) {
  attachments.get(layer)?.detach();
  const attachment = new Attachment(video, layer, options);
  attachments.set(layer, attachment);
  return attachment;
}

/** The connection of one video, one layer and one source of masks; created by `attach`. */
export class Attachment {
  /** @type {HTMLVideoElement} */
  #video;
  /** @type {HTMLElement} */
  #layer;
  /** @type {Options} */
  #options;
  /** @type {Cutout} */
  #cutout;
  #ended = false;
  /** @type {(() => void)[]} */
  #stops = []; // called when masking stops
  /** @type {(() => void)[]} */
  #ends = []; // called by `detach`
  #film = ""; // address of the open track, which tells films apart
  #hasFrame = false;
  #isDrawn = false; // whether the page draws the video's frames on a canvas
  #isProtected = false;
  /** @type {Document | null} */
  #page = null; // the document in which masking was started
  #checks = 0;
  #wasConnected = false;
  #reportedError = "";
  /** @type {import("./outline.js").Outline | null} */
  #outline = null;
  /** @type {import("./outline.js").Outline | null} */
  #shown = null; // the outline, grown by the margin
  /** @type {import("./outline.js").Place | null} */
  #place = null;
  #measuredAt = -Infinity;
  #hasMasks = false;
  #isMasked = false;
  /** @type {Source} */
  source = NOTHING;
  /** @type {Stats} */
  stats = { time: 0, pts: null, lag: null, state: "late", held: false, coverage: 0, work: 0, frames: 0, missed: 0 };

  /**
   * @param {HTMLVideoElement} video
   * @param {HTMLElement} layer
   * @param {Options} options
   */
  constructor(video, layer, options) {
    checkElements(video, layer);
    checkMasks(options);
    [this.#video, this.#layer, this.#options, this.#cutout] = [video, layer, options, new Cutout(layer)];
    const { preferences } = options;
    this.preferences = preferences === true ? openPreferences() : preferences instanceof Preferences ? preferences : new Preferences(preferences);
    this.#openSource();
    this.#listen(this.#ends, video, "emptied", () => {
      this.#isProtected = false;
      this.#restart(); // the video loads another film, which must not get masks of this one
    });
    this.#listen(this.#ends, video, "encrypted", () => {
      this.#isProtected = true;
      this.#check();
    });
    // If there are several `source` elements, these events are the first to tell which one plays.
    for (const event of ["loadstart", "loadedmetadata"]) this.#listen(this.#ends, video, event, () => this.#updateTrack());
    this.#watchPage();
    this.#follow();
  }

  /** Measures the layout again and applies the current mask again; call it after moving the video or the layer. */
  refresh() {
    this.#reportError();
    if (!this.#hasFrame || !this.#stops.length) return;
    this.#measuredAt = -Infinity;
    this.#want(this.stats.time);
    this.#show(this.stats.time);
  }

  /**
   * Replaces the masks, for another film in the same video. `offset` and `clock` keep their values unless given.
   *
   * @param {Masks & Timing} masks
   */
  use(masks) {
    checkMasks(masks);
    this.#closeSource();
    this.#options = { ...this.#options, track: undefined, live: undefined, region: undefined, source: undefined, ...masks };
    this.#openSource();
    this.#pause();
    this.#follow();
  }

  /** The options with all changes since `attach`, to attach a new video element of the same player. */
  get options() {
    return { ...this.#options, preferences: this.preferences };
  }

  /** The outline shown now, as SVG path data in the layer's pixels; empty if nothing is masked. */
  get outline() {
    return this.#shown && this.#place ? toPathData(this.#shown, this.#place) : "";
  }

  /** The reason why there are no masks, as text; empty if there is none. */
  get error() {
    return this.source.error || this.#mismatch;
  }

  /** Stops masking and restores the layer's style. A source given as the option `source` stays open. */
  detach() {
    if (this.#ended) return;
    this.#ended = true;
    this.#pause();
    for (const end of this.#ends.splice(0)) end();
    this.#closeSource();
  }

  /** If `track` is a function, calls it for the video's current film and opens the returned track. */
  #updateTrack() {
    if (typeof this.#options.track !== "function") return;
    const address = this.#findAddress();
    if (this.#film === String(address)) return;
    this.#closeSource();
    this.#openSource(address);
    this.#restart();
  }

  #findAddress() {
    const { track } = this.#options;
    return (typeof track === "function" ? track(this.#video) : track) ?? null;
  }

  #openSource(address = this.#findAddress()) {
    const { live, region, source } = this.#options;
    this.#film = String(address);
    const found = source ?? (address ? openTrack(address) : live ? openLive(live, region) : null);
    if (found) found.onchange = () => this.refresh();
    [this.source, this.#hasMasks, this.#reportedError] = [found ?? NOTHING, found !== null, ""];
    this.#follow();
  }

  #closeSource() {
    if (!this.#hasMasks) return;
    this.source.onchange = () => {};
    if (!this.#options.source) this.source.close();
    this.#hasMasks = false;
  }

  /**
   * Starts or stops masking. It runs while the viewer's preferences allow it, the film has masks and both elements are in the page, so an element
   * that was removed costs nothing, and masking resumes when it is added again.
   */
  #follow() {
    if (this.#ended) return;
    const isConnected = this.#video.isConnected && this.#layer.isConnected;
    this.#wasConnected ||= isConnected;
    const isGone = !isConnected && (this.#wasConnected || this.#checks > MAX_ABSENT_CHECKS);
    const isNeeded = this.preferences.on && this.preferences.strength > 0 && this.#hasMasks && !isGone;
    if (isNeeded && !this.#stops.length) this.#start();
    else if (!isNeeded && (this.#stops.length || this.stats.state !== "off")) {
      this.#pause();
      this.source.rest?.();
      Object.assign(this.stats, { pts: null, lag: null, state: "off", held: false, coverage: 0, work: 0 });
      this.#options.onframe?.(this.stats);
    }
  }

  #start() {
    const video = this.#video;
    this.stats.state = "late";
    this.#page = video.ownerDocument;
    this.#stops.push(watchFrames(video, (ms) => this.#want(ms)));
    this.#isDrawn = this.#options.sync === "exact" && !this.#isProtected && !video.mediaKeys;
    const follow = this.#isDrawn ? drawFrames : watchRepaints;
    this.#stops.push(
      follow(video, (ms) => {
        this.#hasFrame = true;
        this.stats.frames += 1;
        this.#show(ms);
        if (this.stats.state === "late") this.stats.missed += 1;
      }),
    );
    const measure = () => this.refresh();
    const sizes = new ResizeObserver(measure);
    for (const element of [video, this.#layer]) sizes.observe(element);
    this.#stops.push(() => sizes.disconnect());
    this.#listen(this.#stops, video, "resize", measure);
    this.#listen(this.#stops, this.#page ?? document, "fullscreenchange", measure);
    if (this.#hasFrame) return;
    Object.assign(this.stats, { pts: null, lag: null, state: "late", held: false, coverage: 0 });
    this.#cutout.cut(null, this.#measure(performance.now()), 1);
    this.#dim();
  }

  /** Stops all callbacks and restores the layer's style, until `#start` is called. */
  #pause() {
    for (const stop of this.#stops.splice(0)) stop();
    [this.#outline, this.#shown, this.#hasFrame] = [null, null, false];
    this.#cutout.restore();
  }

  #restart() {
    if (!this.#stops.length) return;
    this.#pause();
    this.#start();
  }

  /** Checks every `CHECK_MS` whether the elements are in the page. The timer holds a weak reference, so that it doesn't keep them in memory. */
  #watchPage() {
    const self = new WeakRef(this);
    const call = (/** @type {(me: Attachment) => void} */ action) => {
      const me = self.deref();
      if (me) action(me);
      else end();
    };
    const choose = () => call((me) => me.#choose());
    const timer = setInterval(() => call((me) => me.#check()), CHECK_MS);
    const { preferences } = this;
    preferences.addEventListener("change", choose);
    const end = () => {
      clearInterval(timer);
      preferences.removeEventListener("change", choose);
    };
    this.#ends.push(end);
  }

  #choose() {
    this.#follow();
    [this.#outline, this.#shown] = [null, null];
    this.refresh();
  }

  #check() {
    this.#checks += 1;
    this.#follow();
    this.#reportError();
    // Restart after a move to another window, or when a drawn video turns out to be protected and can't be drawn.
    const { ownerDocument, mediaKeys } = this.#video;
    if (this.#page !== ownerDocument || (this.#isDrawn && (this.#isProtected || mediaKeys))) this.#restart();
    const { paused, seeking, currentTime } = this.#video;
    if (!paused) return;
    // Under load, Firefox may pause at a frame that it never announced.
    const isElsewhere = isFirefox(this.#video) && !seeking && Math.abs(1000 * currentTime - this.stats.time) > UNANNOUNCED_MS;
    if (isElsewhere) this.stats.time = readTime(this.#video);
    // No new frame is shown, but pending masks may have arrived or have to be requested again.
    this.refresh();
  }

  /** @type {(ends: (() => void)[], target: EventTarget, name: string, listener: () => void) => void} */
  #listen(ends, target, name, listener) {
    target.addEventListener(name, listener);
    ends.push(() => target.removeEventListener(name, listener));
  }

  #reportError() {
    const [{ error }, reported] = [this, this.#reportedError];
    this.#reportedError = error;
    if (error && error !== reported) this.#options.onerror?.(error);
  }

  /** @param {number} ms time of a frame that is shown */
  #want(ms) {
    const at = this.#toTrackTime(ms);
    if (at !== null) this.source.want(at, this.#video);
  }

  /**
   * The frame's time on the clock of the masks, or null if there are no masks for it. Live masks use the player's clock.
   *
   * @param {number} ms
   */
  #toTrackTime(ms) {
    return this.source instanceof Live ? ms : toTrackTime(ms, this.#video, this.source.film ?? null, this.#options);
  }

  /** The reason why the masks belong to another film, as text; empty if they match. */
  get #mismatch() {
    return findMismatch(this.source.film ?? null, this.#video, this.#options);
  }

  /** @param {number} ms time of the frame on the screen */
  #show(ms) {
    const began = performance.now();
    const isOther = this.#mismatch !== "";
    const at = isOther ? null : this.#toTrackTime(ms);
    const mask = at === null ? null : this.source.at(at);
    const isAwaited = at === null ? isOther : (this.source.covers?.(at) ?? true);
    const place = this.#measure(began);
    const outline = mask?.shape.outline ?? null;
    if (outline !== this.#outline || place !== this.#place) {
      const { margin, strength } = this.preferences;
      if (outline !== this.#outline) this.#shown = outline && growOutline(outline, margin * outline.height);
      [this.#outline, this.#place] = [outline, place];
      this.#isMasked = Boolean(this.#shown?.rings.length);
      this.#cutout.cut(this.#isMasked ? this.#shown : null, place, strength);
    }
    Object.assign(this.stats, {
      time: ms,
      pts: mask?.pts ?? null,
      lag: mask && at !== null ? at - mask.pts : null,
      state: mask ? (this.#isMasked ? "masked" : "nobody") : isAwaited ? "late" : "off",
      held: mask?.held ?? false,
      coverage: mask?.coverage ?? 0,
    });
    this.#dim();
    this.stats.work = performance.now() - began;
    this.#options.onframe?.(this.stats);
  }

  /** Applies the option `late` while a mask is awaited. After an error comments aren't dimmed, because no mask will come. */
  #dim() {
    const { late = "dim" } = this.#options;
    this.#cutout.dim(this.stats.state !== "late" || (late === "dim" && this.error) ? 1 : OPACITY[late]);
  }

  /**
   * The picture's place in the layer. The same object is returned until something has moved.
   *
   * @param {number} now
   */
  #measure(now) {
    const known = this.#place;
    if (known && now - this.#measuredAt < MEASURE_MS) return known;
    this.#measuredAt = now;
    this.#cutout.mend();
    const stored = findStored(this.source.film ?? null, this.#video);
    const place = measurePlace(this.#video, this.#layer, stored);
    return known && isSamePlace(known, place) ? known : place;
  }
}
