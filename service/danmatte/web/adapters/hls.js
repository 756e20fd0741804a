/**
 * Adapter for hls.js: a clock for tracks that were made from the same playlist.
 *
 *     const hls = new Hls();
 *     attach(video, layer, { track: "film.mattes", clock: followHls(hls) });
 *     hls.loadSource("film.m3u8");
 *
 * A section is the part of a playlist up to the next discontinuity. For each section, hls.js reports the stream's time at which
 * the player's time is 0, and a track stores a corresponding time, so that times can be converted. If one of them is missing, as in
 * the moving window of a live stream, `EXT-X-PROGRAM-DATE-TIME` is used.
 */

/**
 * The part of a fragment that is used here.
 *
 * @typedef {object} Fragment
 * @property {number} cc number of the section
 * @property {number} start seconds
 * @property {number} duration
 * @property {number | null} [programDateTime] milliseconds since 1970
 */

/**
 * @typedef {object} Hls
 * @property {(event: any, listener: (event: any, data: any) => void) => void} on
 */

/** @type {Fragment} */
const UNKNOWN = { cc: -1, start: 0, duration: 0 };
const WRAP_MS = 2 ** 33 / 90; // timestamps of transport streams have 33 bits and 90 ticks a millisecond

/**
 * A clock that follows a player. Create it before the player loads its source.
 *
 * @param {Hls} hls
 * @returns {import("../film.js").Clock} for `attach`
 */
export function followHls(hls) {
  /** @type {Map<number, number>} for each section, the stream's time at which the player's time is 0 */
  const zeros = new Map();
  /** @type {Fragment[]} */
  let fragments = [];
  const update = (/** @type {any} */ _event, /** @type {any} */ { details }) => void (fragments = details?.fragments ?? fragments);
  hls.on("hlsManifestLoading", () => (zeros.clear(), (fragments = [])));
  hls.on("hlsInitPtsFound", (_event, { frag, initPTS, timescale }) => zeros.set(frag.cc, (1000 * initPTS) / timescale));
  hls.on("hlsLevelLoaded", update);
  hls.on("hlsLevelUpdated", update);
  hls.on("hlsLevelPtsUpdated", update);
  return (ms, film) => {
    if (!film) return ms;
    const fragment = fragments.findLast(({ start }) => 1000 * start <= ms + 1) ?? fragments[0] ?? UNKNOWN;
    const [zero, section] = [zeros.get(fragment.cc), film.sections?.[fragment.cc]];
    if (zero !== undefined && section) {
      const since = ms + zero - section[1];
      return section[0] + since - WRAP_MS * Math.round(since / WRAP_MS);
    }
    const { programDateTime: date, start } = fragment;
    if (date && film.date_ms !== undefined) return film.first_ms + date + ms - 1000 * start - film.date_ms;
    return film.scripted_ms === undefined ? ms : ms - film.scripted_ms + film.first_ms;
  };
}
