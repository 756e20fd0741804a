/** Checks that a track was made for the film that a video plays, and converts the player's times to the track's. */

import { isFirefox } from "./frame-clock.js";

/** @typedef {import("./transforms.js").Matrix} Matrix */

/**
 * @typedef {object} Film facts about a film in a track; times are in milliseconds on the track's clock
 * @property {string} sha256 digest of the file, in hexadecimal
 * @property {"media" | "file"} clock whether the track's times are those of a browser's player or those in the file
 * @property {number} width of the picture as it is shown
 * @property {number} height
 * @property {[number, number]} pixel_ratio sample aspect ratio of the stored pixels
 * @property {number} first_ms time of the first frame
 * @property {number} end_ms end of the pictures
 * @property {number} [file_end_ms] end of the file, if its sound is longer than its pictures
 * @property {number} coded_ms time of the first stored frame, which an edit list may leave out
 * @property {number} origin_ms time at which Firefox's clock is 0: that of the first sound or frame
 * @property {[start: number, stream: number][]} [sections] of a playlist: for each its start, and the time in its own stream
 * @property {number} [scripted_ms] the first frame's time in players that assemble HLS segments by script
 * @property {number} [date_ms] time of recording, in milliseconds since 1970
 * @property {("transposed" | "mirrored" | "upended")[]} [orientation] transformations of the stored picture, in this order
 */

/**
 * @callback Clock
 * @param {number} ms the player's time
 * @param {Film | null} film of the track; null if the track has no facts or isn't loaded yet
 * @returns {number | null} milliseconds on the track's clock; null if there are no masks for this time
 */

/**
 * @typedef {object} Timing how to convert the player's time to the track's
 * @property {number} [offset] milliseconds to add to the player's time
 * @property {Clock} [clock] for players whose clock isn't the film's: the moving window of a live stream, several films played as one
 */

const RATIO = 0.03; // tolerance for the picture's aspect ratio, because sizes are rounded
const SLACK = [1000, 0.002]; // tolerance for a duration: milliseconds, plus a share of the duration

/**
 * The reason why a track's masks don't belong to this video, as text; empty if they do.
 *
 * @param {Film | null} film
 * @param {HTMLVideoElement} video
 * @param {Timing} [timing] with a `clock`, durations aren't compared, because the player's clock isn't the film's
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
  // Some browsers count from the first frame, or report a duration without the time before it.
  const [min, max] = [film.end_ms - Math.max(0, film.origin_ms) - slack, end + slack];
  // An offset may mean that something is played before the film, or only that the player's clock starts at another time.
  if ([0, offset].some((more) => 1000 * duration + more >= min && 1000 * duration + more <= max)) return "";
  return `the masks are of a film of ${(film.end_ms / 1000).toFixed(1)} s, this one is ${duration.toFixed(1)} s`;
}

/** @type {(film: Film, width: number, height: number) => boolean} */
const isInProportion = (film, width, height) => Math.abs((width * film.height) / (height * film.width) - 1) <= RATIO;

/**
 * Whether the browser shows the picture as it is stored. Firefox applies a display matrix that rotates by quarter turns, but
 * ignores one that mirrors.
 *
 * @param {Film} film
 * @param {HTMLVideoElement} video
 */
function isAsStored({ orientation = [], ...film }, video) {
  if (!isFirefox(video) || orientation.length % 2 === 0) return false;
  return !orientation.includes("transposed") || isInProportion(film, video.videoHeight, video.videoWidth);
}

/**
 * The matrix from the film's picture to the one that the browser shows, both with width and height 1; null if they are the same.
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
 * Converts a player's time to the track's clock. Returns null if `clock` says that there are no masks.
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
  // Firefox counts from the first sound or frame stored in a file, whatever its time, and misreads empty edits; the track has that origin.
  // This doesn't apply to playlists: Firefox doesn't play them itself, and scripts keep their times.
  const origin = film?.clock === "media" && !film.sections?.length && isFirefox(video) ? film.origin_ms : 0;
  // Scripts that assemble HLS segments start at the first frame's decoding time, browsers at its presentation time.
  if (film?.scripted_ms === undefined || !video.currentSrc?.startsWith("blob:")) return ms + origin + offset;
  return ms - film.scripted_ms + film.first_ms + offset;
}
