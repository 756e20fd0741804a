/** What `attach` takes, what it tells, and what a source of masks is. */

/**
 * Where masks come from.
 *
 * @typedef {object} Source
 * @property {(ms: number) => import("./timeline.js").Mask | null} at the mask for a frame, at once, or null
 * @property {(ms: number, video: HTMLVideoElement) => void} want called for every frame that is shown
 * @property {() => void} onchange set by the attachment; the source calls it when it has more, or an error
 * @property {() => void} close
 * @property {(ms: number) => boolean} [covers] whether a mask may come for a frame; it may unless the source says
 * @property {() => void} [rest] nobody looks for the time being: gives up connections, until it is asked again
 * @property {string} [error] why there are no masks, in words
 * @property {import("./film.js").Film | null} [film] that the masks are for, where the source knows
 */

/** @typedef {string | URL} Address */

/**
 * @typedef {object} Masks
 * @property {Address | ((video: HTMLVideoElement) => Address | null)} [track] a mask track, ours or `.webmask`. A function is
 *   asked again whenever the video gets another film; null means that it has no masks, but live ones where `live` is given, too
 * @property {Address | true | import("./live.js").LiveOptions} [live] a service's `/v1/stream`; true is this module's own server
 * @property {string} [region] with `live`: what comments pass behind, such as `person,text`, where the server's models find it
 * @property {Source} [source] instead of the two, one that was opened before
 */

/**
 * @typedef {object} Looks
 * @property {"dim" | "show" | "hide"} [late] how comments look while no mask is at hand: faint unless given, and as they are
 *   once it is known that none will come
 * @property {"screen" | "exact"} [sync] masks for the frame that the browser puts on the screen, predicted while it
 *   plays; or the page draws the video itself, on a canvas over it, and masks are exact. `screen` unless given; exact
 *   isn't for protected videos and loses what HDR adds
 * @property {true | Preferences | Partial<import("./preferences.js").Choices>} [preferences] the viewer's choices: true for those that
 *   the browser remembers, or a beginning that is remembered nowhere
 * @property {(stats: Stats) => void} [onframe] called after every frame
 * @property {(why: string) => void} [onerror] called when masks can't be had, once for every reason
 */

/** @typedef {import("./preferences.js").Preferences} Preferences */
/** @typedef {import("./film.js").Timing} Timing */
/** @typedef {Masks & Looks & Timing} Options */

/**
 * @typedef {object} Stats
 * @property {number} time of the frame on the screen after this repaint, in milliseconds of the player
 * @property {number | null} pts of the mask that is used for it, on the track's clock
 * @property {number | null} lag of the mask behind the frame
 * @property {"masked" | "nobody" | "late" | "off"} state off by the viewer's choice, or because the film or this part of it has no masks
 * @property {boolean} held the mask is repeated from a frame before
 * @property {number} coverage the person's share of the frame
 * @property {number} work milliseconds that this frame took here
 * @property {number} frames seen so far
 * @property {number} missed of them, without a mask
 */

/**
 * Refuses what isn't a video, or no layer: mostly a selector that found nothing, or a player in place of its video.
 *
 * @param {HTMLVideoElement} video
 * @param {HTMLElement} layer
 * @throws {TypeError}
 */
export function checkElements(video, layer) {
  if (typeof video !== "object" || !video || !("videoWidth" in video)) throw new TypeError(`attach: expected a <video> element, received ${describe(video)}`);
  if (!layer?.style) throw new TypeError(`attach: expected an element that holds the comments, received ${describe(layer)}`);
}

/**
 * @param {Masks} masks
 * @throws {TypeError} where they come from nowhere
 */
export function checkMasks(masks) {
  const { track, live, source } = masks ?? /** @type {Masks} */ ({});
  if (!track && !live && !source) throw new TypeError("attach: expected one of track, live and source");
}

/** @type {(value: any) => string} */
const describe = (value) => (value?.localName ? `<${value.localName}>` : typeof value === "object" ? (value?.constructor?.name ?? "null") : typeof value);
