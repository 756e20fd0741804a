/** The film that a track is for: refused where it is another one, and where its clock and a player's meet. */

import { isFirefox } from "./frame-clock.js";

/** @typedef {import("./transforms.js").Matrix} Matrix */

/**
 * @typedef {object} Film facts of a `.mattes` track; times are in milliseconds on the track's clock
 * @property {string} sha256 digest of the file, in hexadecimal
 * @property {"media" | "file"} clock whether the track counts as browsers do, or as the file states
 * @property {number} width of the picture as it is shown
 * @property {number} height
 * @property {[number, number]} pixel_ratio sample aspect ratio of the stored pixels
 * @property {number} first_ms the first frame
 * @property {number} end_ms of the pictures
 * @property {number} [file_end_ms] of the file, where its sound goes on for longer
 * @property {number} coded_ms the first stored frame, which an edit list may leave out
 * @property {number} origin_ms where the clock of Firefox is 0, with the first sound or frame
 * @property {[start: number, stream: number][]} [sections] of a playlist: where each begins, and its stream's own time
 * @property {number} [scripted_ms] the first frame's time in players that join HLS segments by script
 * @property {number} [date_ms] when it was recorded, since 1970
 * @property {("transposed" | "mirrored" | "upended")[]} [orientation] what is done to the stored picture, in this order
 */

/**
 * @callback Clock
 * @param {number} ms of the player's
 * @param {Film | null} film of the track, null where it doesn't say, or isn't there yet
 * @returns {number | null} milliseconds on the track's clock; null where it has no masks
 */

/**
 * @typedef {object} Timing how a player's clock and a track's meet
 * @property {number} [offset] milliseconds to add to the player's time
 * @property {Clock} [clock] for players whose clock isn't the film's: live windows, joined programmes
 */

const RATIO = 0.03; // how far the picture's proportions may be off: sizes are rounded
const SLACK = [1000, 0.002]; // milliseconds by which a length may be off, and the share of it

/**
 * Why a track's masks aren't this video's, in words, or empty.
 *
 * @param {Film | null} film
 * @param {HTMLVideoElement} video
 * @param {Timing} [timing] with a `clock` the player's isn't the film's, so lengths aren't compared
 */
export function findMismatch(film, video, { offset = 0, clock } = {}) {
  const { videoWidth, videoHeight, duration } = video;
  if (!film || !videoWidth || !videoHeight) return "";
  if (!isInProportion(film, videoWidth, videoHeight) && !isAsStored(film, video)) {
    return `the masks are of a film of ${film.width}×${film.height}, this one is ${videoWidth}×${videoHeight}`;
  }
  if (clock || !Number.isFinite(duration)) return "";
  const end = Math.max(film.end_ms, film.file_end_ms ?? 0);
  const slack = SLACK[0] + SLACK[1] * end;
  // Some browsers count from the first frame, and some state a length without what comes before it.
  const [least, most] = [film.end_ms - Math.max(0, film.origin_ms) - slack, end + slack];
  // An offset may stand for something in front of the film, or for a clock that begins elsewhere.
  if ([0, offset].some((more) => 1000 * duration + more >= least && 1000 * duration + more <= most)) return "";
  return `the masks are of a film of ${(film.end_ms / 1000).toFixed(1)} s, this one is ${duration.toFixed(1)} s`;
}

/** @type {(film: Film, width: number, height: number) => boolean} */
const isInProportion = (film, width, height) => Math.abs((width * film.height) / (height * film.width) - 1) <= RATIO;

/**
 * Whether the browser shows the picture as it is stored. Firefox turns pictures by quarters, but mirrors none: where
 * a display matrix does so, it follows no part of it.
 *
 * @param {Film} film
 * @param {HTMLVideoElement} video
 */
function isAsStored({ orientation = [], ...film }, video) {
  if (!isFirefox(video) || orientation.length % 2 === 0) return false;
  return !orientation.includes("transposed") || isInProportion(film, video.videoHeight, video.videoWidth);
}

/**
 * Where the film's picture lies in the one that the browser shows, both of width and height 1; null where they are the same.
 *
 * @param {Film | null} film
 * @param {HTMLVideoElement} video
 * @returns {Matrix | null}
 */
export function findStored(film, video) {
  if (!film || !isAsStored(film, video)) return null;
  const [isTransposed, ...flips] = ["transposed", "mirrored", "upended"].map((step) => film.orientation?.includes(/** @type {any} */ (step)));
  const [x, y] = flips.map((isFlipped) => (isFlipped ? -1 : 1));
  const [left, top] = flips.map(Number);
  return isTransposed ? [0, x, y, 0, top, left] : [x, 0, 0, y, left, top];
}

/**
 * A player's time on the track's clock, or null where there are no masks.
 *
 * @param {number} ms
 * @param {HTMLVideoElement} video
 * @param {Film | null} film
 * @param {Timing} timing
 */
export function toTrackTime(ms, video, film, { offset = 0, clock }) {
  if (clock) {
    const mapped = clock(ms, film);
    return mapped === null ? null : mapped + offset;
  }
  // Firefox counts from the first sound or frame that a file stores, whatever its time, and misreads empty edits; the track knows.
  // Playlists it doesn't play by itself, and scripts keep their times.
  const origin = film?.clock === "media" && !film.sections?.length && isFirefox(video) ? film.origin_ms : 0;
  // Scripts that join segments of HLS begin with the first frame's decoding time, browsers with its own.
  if (film?.scripted_ms === undefined || !video.currentSrc?.startsWith("blob:")) return ms + origin + offset;
  return ms - film.scripted_ms + film.first_ms + offset;
}
