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
const MEASURE_MS = 500; // how often the page is measured again
const CHECK_MS = 500; // how often a paused video's frame is looked at again
const UNANNOUNCED_MS = 100; // from a paused video's last announced frame to its time
const LONELY_CHECKS = 20; // of an attachment whose elements never came to the page
/** @type {Source} of a film that has no masks */
const NOTHING = Object.freeze({ at: () => null, want() {}, close() {}, onchange() {} });

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
  /** @type {Options} */
  #options;
  /** @type {Cutout} */
  #cutout;
  #ended = false;
  /** @type {(() => void)[]} */
  #stops = []; // of what runs while comments are behind people
  /** @type {(() => void)[]} */
  #ends = []; // of what runs until it is detached
  #film = ""; // whose masks were opened, by the address of the track
  #hasFrame = false;
  #isDrawn = false; // its frames, by the page
  #isProtected = false;
  /** @type {Document | null} */
  #page = null; // that it was started in
  #checks = 0;
  #wasConnected = false;
  #told = "";
  /** @type {import("./outline.js").Outline | null} */
  #outline = null;
  /** @type {import("./outline.js").Outline | null} */
  #shown = null; // the outline with its margin
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
      this.#restart(); // another film comes: no mask of the one before is shown on it
    });
    this.#listen(this.#ends, video, "encrypted", () => {
      this.#isProtected = true;
      this.#check();
    });
    // Of several `source` elements it is known only now which one plays.
    for (const event of ["loadstart", "loadedmetadata"]) this.#listen(this.#ends, video, event, () => this.#ask());
    this.#watchPage();
    this.#follow();
  }

  /** Measures the page again and repeats the last frame; needed after moving the video within the layer. */
  refresh() {
    this.#tell();
    if (!this.#hasFrame || !this.#stops.length) return;
    this.#measuredAt = -Infinity;
    this.#want(this.stats.time);
    this.#show(this.stats.time);
  }

  /**
   * Other masks, for another film in the same video; they take the place of those before. What isn't given anew of `offset` and `clock` stays.
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

  /** What it was attached with, as it is by now: for the next video of a player that makes itself another one. */
  get options() {
    return { ...this.#options, preferences: this.preferences };
  }

  /** The outline on the screen as SVG path data in the layer's pixels; empty when nothing is masked. */
  get outline() {
    return this.#shown && this.#place ? toPathData(this.#shown, this.#place) : "";
  }

  /** Why there are no masks, in words, or empty. */
  get error() {
    return this.source.error || this.#mismatch;
  }

  /** Leaves the layer as it was found. A source that was handed over ready stays open. */
  detach() {
    if (this.#ended) return;
    this.#ended = true;
    this.#pause();
    for (const end of this.#ends.splice(0)) end();
    this.#closeSource();
  }

  /** Asks a function for the masks of the film that the video has now. */
  #ask() {
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
    [this.source, this.#hasMasks, this.#told] = [found ?? NOTHING, found !== null, ""];
    this.#follow();
  }

  #closeSource() {
    if (!this.#hasMasks) return;
    this.source.onchange = () => {};
    if (!this.#options.source) this.source.close();
    this.#hasMasks = false;
  }

  /**
   * Starts or stops, as the viewer's choice, the film's masks and the page want it: an element that left the page costs nothing, and goes on when
   * it is back.
   */
  #follow() {
    if (this.#ended) return;
    const isThere = this.#video.isConnected && this.#layer.isConnected;
    this.#wasConnected ||= isThere;
    const isGone = !isThere && (this.#wasConnected || this.#checks > LONELY_CHECKS);
    const wants = this.preferences.on && this.preferences.strength > 0 && this.#hasMasks && !isGone;
    if (wants && !this.#stops.length) this.#start();
    else if (!wants && (this.#stops.length || this.stats.state !== "off")) {
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

  /** Until `#start`: nothing runs, and the layer has its own style. */
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

  /** Looks twice a second whether the elements are in the page; holds them no longer than the page does. */
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
    this.#tell();
    // It is in another window now, or turned out to be protected: such a picture can't be drawn.
    const { ownerDocument, mediaKeys } = this.#video;
    if (this.#page !== ownerDocument || (this.#isDrawn && (this.#isProtected || mediaKeys))) this.#restart();
    const { paused, seeking, currentTime } = this.#video;
    if (!paused) return;
    // A busy Firefox may show frames that it doesn't announce, and stop at one.
    const isElsewhere = isFirefox(this.#video) && !seeking && Math.abs(1000 * currentTime - this.stats.time) > UNANNOUNCED_MS;
    if (isElsewhere) this.stats.time = readTime(this.#video);
    // While nothing new is shown, masks on the way may arrive, or have to be asked for again.
    this.refresh();
  }

  /** @type {(ends: (() => void)[], target: EventTarget, name: string, listener: () => void) => void} */
  #listen(ends, target, name, listener) {
    target.addEventListener(name, listener);
    ends.push(() => target.removeEventListener(name, listener));
  }

  #tell() {
    const [{ error }, told] = [this, this.#told];
    this.#told = error;
    if (error && error !== told) this.#options.onerror?.(error);
  }

  /** @param {number} ms time of a frame that is shown */
  #want(ms) {
    const at = this.#toTrackTime(ms);
    if (at !== null) this.source.want(at, this.#video);
  }

  /**
   * The time that masks are counted by, or null where there are none. A source without a film counts as the player does.
   *
   * @param {number} ms
   */
  #toTrackTime(ms) {
    return this.source instanceof Live ? ms : toTrackTime(ms, this.#video, this.source.film ?? null, this.#options);
  }

  /** Why the masks can't be this film's, in words. */
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

  /** Comments look as they shall without a mask; where none will come, faint ones would only be hard to read. */
  #dim() {
    const { late = "dim" } = this.#options;
    this.#cutout.dim(this.stats.state !== "late" || (late === "dim" && this.error) ? 1 : OPACITY[late]);
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
    this.#cutout.mend();
    const stored = findStored(this.source.film ?? null, this.#video);
    const place = measurePlace(this.#video, this.#layer, stored);
    return known && isSamePlace(known, place) ? known : place;
  }
}
