/**
 * Masks out of a text track that the page or a player has loaded: `<track kind="metadata" src="film.vtt">`, or a WebVTT rendition of HLS.
 *
 *     attach(video, layer, { source: openCues(video.textTracks[0]) });
 *
 * The cues' times are those of the player's own clock, so nothing is to be mapped.
 */

import { SLACK_MS } from "./timeline.js";
import { readPayload } from "./vtt.js";

const FAILED = 3; // HTMLTrackElement.ERROR

/** @typedef {(video: HTMLVideoElement) => TextTrack | null | undefined} Find the video's track, as soon as there is one */

/**
 * A source of masks for `attach`; the track is loaded, and nothing of it is shown.
 *
 * @param {TextTrack | Find} track a function is asked for every frame: players make text tracks late, and others for another film
 * @returns {Cues}
 */
export function openCues(track) {
  return new Cues(track);
}

/** The cues of a text track as a source of masks; `error` says of the last cue that was no mask why. */
export class Cues {
  onchange = () => {};
  error = "";
  /** @type {TextTrack | null} */
  #track = null;
  /** @type {Find} */
  #find;
  #tell = () => this.onchange();
  /** @type {WeakMap<TextTrackCue, import("./timeline.js").Mask | null>} */
  #known = new WeakMap();

  /** @param {TextTrack | Find} track */
  constructor(track) {
    this.#find = typeof track === "function" ? track : () => track;
    if (typeof track !== "function") this.#follow(track);
  }

  /**
   * The mask for a frame, or null while there is none.
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
   * The browser, or the player, loads cues by itself, of tracks that are on; what it couldn't load is told.
   *
   * @param {number} _ms
   * @param {HTMLVideoElement} video
   */
  want(_ms, video) {
    const track = this.#find(video) ?? null;
    this.#follow(track);
    const element = track && [...(video.querySelectorAll?.("track") ?? [])].find((one) => one.track === track);
    // Not there, not WebVTT, or from another origin without CORS: the browser tells no more than that.
    if (element?.readyState === FAILED) this.error = `${element.src}: the browser couldn't load it as a text track`;
  }

  close() {
    this.#track?.removeEventListener("cuechange", this.#tell);
    this.#track = null;
  }

  /** @param {TextTrack | null} track */
  #follow(track) {
    if (track !== this.#track) {
      this.close();
      [this.#track, this.error] = [track, ""];
      track?.addEventListener("cuechange", this.#tell);
    }
    if (track?.mode === "disabled") track.mode = "hidden"; // players also turn tracks off that nobody shows
  }

  /**
   * The newest cue that is not after this time; cues are sorted by their starts.
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
