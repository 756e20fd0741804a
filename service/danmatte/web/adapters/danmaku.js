/** For the npm package `danmaku`: its comments pass behind people, DOM engine and canvas alike. */

import { attach } from "../danmatte.js";

/**
 * What of an engine is used here.
 *
 * @typedef {object} Engine
 * @property {HTMLElement} container
 * @property {HTMLMediaElement} media
 * @property {() => unknown} destroy
 */

/**
 * @param {Engine} danmaku in media mode, with a video
 * @param {import("../danmatte.js").Options} options
 * @returns {import("../danmatte.js").Attachment} it ends with `danmaku.destroy()`
 */
export function behind(danmaku, options) {
  const { container, media, destroy } = danmaku;
  const stage = /** @type {HTMLElement} */ (container.lastElementChild); // the library appends it last
  const handle = attach(/** @type {HTMLVideoElement} */ (media), stage, options);
  danmaku.destroy = () => {
    handle.detach();
    danmaku.destroy = destroy;
    return destroy.call(danmaku);
  };
  return handle;
}
