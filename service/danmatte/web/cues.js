/**
 * Masks from a text track that the page or a player has loaded: `<track kind="metadata" src="film.vtt">`, or a WebVTT rendition of HLS.
 *
 *     attach(video, layer, { source: openCues(video.textTracks[0]) });
 *
 * The cues' times are on the player's clock, so no times have to be converted.
 */

import { SLACK_MS } from "./timeline.js";
import { readPayload } from "./vtt.js";

const FAILED = 3; // HTMLTrackElement.ERROR

/** @typedef {(video: HTMLVideoElement) => TextTrack | null | undefined} Find returns the video's track, once there is one */

/**
 * Creates a source of masks for `attach`. The track's mode is set so that its cues are loaded but not displayed.
 *
 * @param {TextTrack | Find} track a function is called for every frame, because players create text tracks late, and new ones for each film
 * @returns {Cues}
 */
export function openCues(track) {
  return new Cues(track);
}

/** The cues of a text track as a source of masks. `error` is the reason why the last cue couldn't be read, as text. */
export class Cues {
  onchange = () => {};
  error = "";
  /** @type {TextTrack | null} */
  #track = null;
  /** @type {Find} */
  #find;
  #notify = () => this.onchange();
  /** @type {WeakMap<TextTrackCue, import("./timeline.js").Mask | null>} */
  #known = new WeakMap();

  /** @param {TextTrack | Find} track */
  constructor(track) {
    this.#find = typeof track === "function" ? track : () => track;
    if (typeof track !== "function") this.#follow(track);
  }

  /**
   * The mask for a frame, or null if there is none.
   *
   * @param {number} ms
   */
  at(ms) {
    const cue = this.#findCue(ms);
    if (!cue || 1000 * cue.endTime <= ms - SLACK_MS) return null;
    const known = this.#known.get(cue);
    if (known !== undefined) return known;
    const mask = this.#read(/** @type {VTTCue} */ (cue));
    this.#known.set(cue, mask);
    return mask;
  }

  /**
   * Enables the track, so that the browser or the player loads its cues. Sets `error` if the browser couldn't load it.
   *
   * @param {number} _ms
   * @param {HTMLVideoElement} video
   */
  want(_ms, video) {
    const track = this.#find(video) ?? null;
    this.#follow(track);
    const element = track && [...(video.querySelectorAll?.("track") ?? [])].find((one) => one.track === track);
    // The file may be missing, not be WebVTT, or be from another origin without CORS; the browser doesn't tell which.
    if (element?.readyState === FAILED) this.error = `${element.src}: the browser couldn't load it as a text track`;
  }

  close() {
    this.#track?.removeEventListener("cuechange", this.#notify);
    this.#track = null;
  }

  /** @param {TextTrack | null} track */
  #follow(track) {
    if (track !== this.#track) {
      this.close();
      [this.#track, this.error] = [track, ""];
      track?.addEventListener("cuechange", this.#notify);
    }
    if (track?.mode === "disabled") track.mode = "hidden"; // players disable tracks that are not displayed
  }

  /**
   * The last cue that starts not after this time. Browsers keep cues sorted by start time.
   *
   * @param {number} ms
   */
  #findCue(ms) {
    const cues = this.#track?.cues;
    if (!cues) return null;
    let [low, high] = [0, cues.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (1000 * cues[middle].startTime <= ms + SLACK_MS) low = middle + 1;
      else high = middle;
    }
    return cues[low - 1] ?? null;
  }

  /** @param {VTTCue} cue */
  #read(cue) {
    try {
      const mask = readPayload(cue.text);
      this.error = "";
      return { pts: Math.round(1000 * cue.startTime), ...mask };
    } catch (error) {
      this.error = `a cue at ${cue.startTime} s: ${/** @type {Error} */ (error).message}`;
      return null;
    }
  }
}
