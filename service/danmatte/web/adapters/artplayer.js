/** For ArtPlayer with `artplayer-plugin-danmuku`: one more plugin, and its comments pass behind people. */

import { attach } from "../danmatte.js";

/**
 * What of a player is used here.
 *
 * @typedef {object} Player
 * @property {{$video: HTMLVideoElement, $danmuku: HTMLElement}} template
 * @property {(event: "destroy", listener: () => void) => unknown} on
 */

/** @typedef {import("../danmatte.js").Options} Options */

/**
 *     new Artplayer({ …, plugins: [artplayerPluginDanmuku({ … }), artplayerPluginDanmatte({ track: "film.mattes" })] });
 *
 * @param {Options} options
 */
export function artplayerPluginDanmatte(options) {
  /** @param {Player} art */
  return (art) => {
    const { $video, $danmuku } = art.template;
    const plugin = {
      name: "artplayerPluginDanmatte",
      handle: attach($video, $danmuku, options),
      /**
       * Other masks, for another video; they take the place of those before.
       *
       * @param {Options} other
       */
      use(other) {
        plugin.handle = attach($video, $danmuku, other);
      },
    };
    art.on("destroy", () => plugin.handle.detach());
    return plugin;
  };
}
