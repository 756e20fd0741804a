/** Adapter for NPlayer with `@nplayer/danmaku`. */

import { attach } from "../danmatte.js";

/**
 * The part of a player that is used here.
 *
 * @typedef {object} Player
 * @property {HTMLVideoElement} video
 * @property {{el: HTMLElement}} [danmaku] of the plugin
 * @property {(event: any, listener: () => void) => unknown} on
 */

/**
 * Lets the player's comments pass behind people.
 *
 * @param {Player} player whose plugins include `@nplayer/danmaku`
 * @param {import("../danmatte.js").Options} options
 * @returns {import("../danmatte.js").Attachment} detached when the player is disposed of
 * @throws {TypeError} without the plugin
 */
export function attachNPlayer(player, options) {
  if (!player.danmaku) throw new TypeError("attachNPlayer: expected a player with @nplayer/danmaku");
  const handle = attach(player.video, player.danmaku.el, options);
  player.on("UpdateSize", () => handle.refresh());
  player.on("BeforeDispose", () => handle.detach());
  return handle;
}
