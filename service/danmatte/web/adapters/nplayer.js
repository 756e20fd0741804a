/** For NPlayer with `@nplayer/danmaku`: its comments pass behind people. */

import { attach } from "../danmatte.js";

/**
 * What of a player is used here.
 *
 * @typedef {object} Player
 * @property {HTMLVideoElement} video
 * @property {{el: HTMLElement}} [danmaku] of the plugin
 * @property {(event: any, listener: () => void) => unknown} on
 */

/**
 * @param {Player} player whose plugins include `@nplayer/danmaku`
 * @param {import("../danmatte.js").Options} options
 * @returns {import("../danmatte.js").Attachment} it ends with the player
 * @throws {TypeError} without the plugin
 */
export function attachNPlayer(player, options) {
  if (!player.danmaku) throw new TypeError("attachNPlayer: expected a player with @nplayer/danmaku");
  const handle = attach(player.video, player.danmaku.el, options);
  player.on("UpdateSize", () => handle.refresh());
  player.on("BeforeDispose", () => handle.detach());
  return handle;
}
