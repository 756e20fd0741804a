/** The options of `attach`, the statistics that it reports, and the interface of a source of masks. */

/**
 * A source of masks.
 *
 * @typedef {object} Source
 * @property {(ms: number) => import("./timeline.js").Mask | null} at returns the mask for a frame, or null if it isn't available yet
 * @property {(ms: number, video: HTMLVideoElement) => void} want called for every frame that is shown, so that the source can request masks
 * @property {() => void} onchange set by the attachment; the source calls it when it has new masks or an error
 * @property {() => void} close
 * @property {(ms: number) => boolean} [covers] returns whether the source may have a mask for a frame; without it, every frame may have one
 * @property {() => void} [rest] called when masking stops: closes connections until the next call of `want`
 * @property {string} [error] the reason why there are no masks, as text
 * @property {import("./film.js").Film | null} [film] facts about the film that the masks were made for, if the source has them
 */

/** @typedef {string | URL} Address */

/**
 * @typedef {object} Masks
 * @property {Address | ((video: HTMLVideoElement) => Address | null)} [track] address of a mask track (`.mattes`, `.vtt` or `.webmask`). A
 *   function is called again whenever the video gets another film; if it returns null, `live` is used if given, otherwise there are no masks
 * @property {Address | true | import("./live.js").LiveOptions} [live] address of a service's `/v1/stream`; true means the server that this
 *   module was loaded from
 * @property {string} [region] with `live`: what comments pass behind, such as `person,text`, if the server's models find it
 * @property {Source} [source] an open source, instead of `track` and `live`
 */

/**
 * @typedef {object} Looks
 * @property {"dim" | "show" | "hide"} [late] how comments look while a mask is awaited: faint unless given. After an error, `dim`
 *   shows them normally
 * @property {"screen" | "exact"} [sync] `screen`, the default, chooses the mask for the frame that the browser shows next, which is
 *   predicted while the video plays. `exact` draws the video on a canvas over it, together with the mask; it doesn't work for
 *   protected videos and loses HDR
 * @property {true | Preferences | Partial<import("./preferences.js").Choices>} [preferences] the viewer's preferences: true for those
 *   stored in the browser, or initial values that are not stored
 * @property {(stats: Stats) => void} [onframe] called after every frame
 * @property {(why: string) => void} [onerror] called with the reason when masks are not available; not repeated while the reason is the same
 */

/** @typedef {import("./preferences.js").Preferences} Preferences */
/** @typedef {import("./film.js").Timing} Timing */
/** @typedef {Masks & Looks & Timing} Options */

/**
 * @typedef {object} Stats
 * @property {number} time of the frame that this repaint shows, in milliseconds of the player
 * @property {number | null} pts time of the mask used for it, in milliseconds on the track's clock
 * @property {number | null} lag milliseconds by which the mask is older than the frame
 * @property {"masked" | "nobody" | "late" | "off"} state `masked`; `nobody`: the mask is empty; `late`: a mask is awaited; `off`: disabled by the
 *   viewer, or no masks for this film or this part of it
 * @property {boolean} held whether the mask is repeated from a frame before
 * @property {number} coverage share of the frame that shows people, 0 to 1
 * @property {number} work milliseconds that danmatte spent on this frame
 * @property {number} frames shown so far
 * @property {number} missed frames for which a mask was awaited but not available
 */

/**
 * Throws unless it gets a video and a layer. Common mistakes are a selector that found nothing, and a player object instead of its video.
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
 * @throws {TypeError} if there is no track, live or source
 */
export function checkMasks(masks) {
  const { track, live, source } = masks ?? /** @type {Masks} */ ({});
  if (!track && !live && !source) throw new TypeError("attach: expected one of track, live and source");
}

/** @type {(value: any) => string} */
const describe = (value) => (value?.localName ? `<${value.localName}>` : typeof value === "object" ? (value?.constructor?.name ?? "null") : typeof value);
