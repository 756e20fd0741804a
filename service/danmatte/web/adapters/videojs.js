/** Adapter for video.js: comments in a layer over the player pass behind people, even after it replaces its video element. */

import { attach } from "../danmatte.js";

/**
 * The part of a player that is used here.
 *
 * @typedef {object} Player
 * @property {() => Element} el
 * @property {(events: any, listener: () => void) => unknown} on
 */

/**
 * Lets the layer's comments pass behind people.
 *
 * @param {Player} player
 * @param {HTMLElement} layer of comments, within the player's element
 * @param {import("../danmatte.js").Options} options
 * @returns {{readonly handle: import("../danmatte.js").Attachment}} the attachment to the current video, detached when the player is disposed of
 * @throws {TypeError} if the player has no video
 */
export function attachVideoJs(player, layer, options) {
  const find = () => player.el().querySelector("video");
  let video = find();
  if (!video) throw new TypeError("attachVideoJs: expected a player with a video");
  let handle = attach(video, layer, options);
  player.on("loadstart", () => {
    const found = find();
    if (found && found !== video) [video, handle] = [found, attach(found, layer, handle.options)];
  });
  player.on(["playerresize", "fullscreenchange"], () => handle.refresh());
  player.on("dispose", () => handle.detach());
  return {
    get handle() {
      return handle;
    },
  };
}
