/** For the npm package `danmaku`: its comments pass behind people, DOM engine and canvas alike. */

import { attach } from "../danmatte.js";

/**
 * @param {import("danmaku").default} danmaku in media mode, with a video
 * @param {import("../danmatte.js").Options} options
 * @returns {import("../danmatte.js").Attachment} it ends with `danmaku.destroy()`
 */
export function behind(danmaku, options) {
  const { container, media, destroy } = danmaku;
  const handle = attach(media, container.lastElementChild, options); // the stage, which it appends last
  danmaku.destroy = () => {
    handle.detach();
    delete danmaku.destroy;
    return destroy.call(danmaku);
  };
  return handle;
}
