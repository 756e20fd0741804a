/** Adapter for the npm package `danmaku`, with its DOM engine and its canvas engine. */

import { attach } from "../danmatte.js";

/**
 * The part of an engine that is used here.
 *
 * @typedef {object} Engine
 * @property {HTMLElement} container
 * @property {HTMLMediaElement} media
 * @property {() => unknown} destroy
 */

/**
 * Lets the engine's comments pass behind people.
 *
 * @param {Engine} danmaku in media mode, with a video
 * @param {import("../danmatte.js").Options} options
 * @returns {import("../danmatte.js").Attachment} detached by `danmaku.destroy()`
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
