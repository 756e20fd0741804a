/** For xgplayer 3 with its plugin `danmu`: its comments pass behind people. */

import { attach } from "../danmatte.js";

/**
 * What of a player is used here.
 *
 * @typedef {object} Player
 * @property {any} media its video
 * @property {(name: string) => any} getPlugin
 * @property {(event: string, listener: () => void) => unknown} on
 */

/**
 * @param {Player} player once it is made, with the plugin `danmu`
 * @param {import("../danmatte.js").Options} options
 * @returns {import("../danmatte.js").Attachment} it ends with the player
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
