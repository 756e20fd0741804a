/** For ArtPlayer with `artplayer-plugin-danmuku`: one more plugin, and its comments pass behind people. */

import { attach } from "../danmatte.js";

/**
 *     new Artplayer({ …, plugins: [artplayerPluginDanmuku({ … }), artplayerPluginDanmatte({ track: "film.mattes" })] });
 *
 * @param {import("../danmatte.js").Options} options
 * @returns {(art: import("artplayer").default) => {name: string, handle: import("../danmatte.js").Attachment, use: Function}}
 */
export function artplayerPluginDanmatte(options) {
  return (art) => {
    const { $video, $danmuku } = art.template;
    const plugin = {
      name: "artplayerPluginDanmatte",
      handle: attach($video, $danmuku, options),
      /** Other masks, for another video. */
      use(other) {
        plugin.handle.detach();
        plugin.handle = attach($video, $danmuku, other);
      },
    };
    art.on("destroy", () => plugin.handle.detach());
    return plugin;
  };
}
