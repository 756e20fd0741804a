/** For video.js: comments in a layer over it pass behind people, also when it changes its video element. */

import { attach } from "../danmatte.js";

/**
 * What of a player is used here.
 *
 * @typedef {object} Player
 * @property {() => Element} el
 * @property {(events: any, listener: () => void) => unknown} on
 */

/**
 * @param {Player} player
 * @param {HTMLElement} layer of comments, within the player's element
 * @param {import("../danmatte.js").Options} options
 * @returns {{readonly handle: import("../danmatte.js").Attachment}} the attachment to its present video; it ends with the player
 * @throws {TypeError} while the player has no video
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
