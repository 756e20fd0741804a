/** Adapter for xgplayer 3 with its plugin `danmu`. */

import { attach } from "../danmatte.js";

/**
 * The part of a player that is used here.
 *
 * @typedef {object} Player
 * @property {any} media the video element
 * @property {(name: string) => any} getPlugin
 * @property {(event: string, listener: () => void) => unknown} on
 */

/**
 * Lets the player's comments pass behind people.
 *
 * @param {Player} player with the plugin `danmu`
 * @param {import("../danmatte.js").Options} options
 * @returns {import("../danmatte.js").Attachment} detached when the player is destroyed
 * @throws {TypeError} without the plugin, or without a video
 */
export function attachXgplayer(player, options) {
  const layer = player.getPlugin("danmu")?.root;
  if (!layer || !player.media) throw new TypeError("attachXgplayer: expected a player with a video and the plugin danmu");
  const handle = attach(player.media, layer, options);
  for (const event of ["video_resize", "rotate", "fullscreen_change", "cssFullscreen_change"]) player.on(event, () => handle.refresh());
  player.on("destroy", () => handle.detach());
  return handle;
}
