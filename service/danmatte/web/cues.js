/**
 * Masks out of a text track that the page or a player has loaded: `<track kind="metadata" src="film.vtt">`, or a WebVTT rendition of HLS.
 *
 *     attach(video, layer, { source: openCues(video.textTracks[0]) });
 *
 * The cues' times are those of the player's own clock, so nothing is to be mapped.
 */

import { SLACK_MS } from "./timeline.js";
import { readPayload } from "./vtt.js";

/**
 * A source of masks for `attach`; the track is loaded, and nothing of it is shown.
 *
 * @param {TextTrack} track
 * @returns {Cues}
 */
export function openCues(track) {
  return new Cues(track);
}

/** The cues of a text track as a source of masks; `error` says of the last cue that was no mask why. */
export class Cues {
  onchange = () => {};
  error = "";
  #track;
  #tell = () => this.onchange();
  /** @type {WeakMap<TextTrackCue, import("./timeline.js").Mask | null>} */
  #known = new WeakMap();

  /** @param {TextTrack} track */
  constructor(track) {
    this.#track = track;
    if (track.mode === "disabled") track.mode = "hidden";
    track.addEventListener("cuechange", this.#tell);
  }

  /**
   * The mask for a frame, or null while there is none.
   *
   * @param {number} ms
   */
  at(ms) {
    const cue = this.#find(ms);
    if (!cue || 1000 * cue.endTime <= ms - SLACK_MS) return null;
    const known = this.#known.get(cue);
    if (known !== undefined) return known;
    const mask = this.#read(/** @type {VTTCue} */ (cue));
    this.#known.set(cue, mask);
    return mask;
  }

  /** The browser, or the player, loads cues by itself; players turn tracks off that nobody shows. */
  want() {
    if (this.#track.mode === "disabled") this.#track.mode = "hidden";
  }

  close() {
    this.#track.removeEventListener("cuechange", this.#tell);
  }

  /**
   * The newest cue that is not after this time; cues are sorted by their starts.
   *
   * @param {number} ms
   */
  #find(ms) {
    const { cues } = this.#track;
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
