/** Adapter for ArtPlayer with `artplayer-plugin-danmuku`: a plugin that lets its comments pass behind people. */

import { findLabels, followPreferences, SLIDERS } from "../controls.js";
import { attach } from "../danmatte.js";

/**
 * The part of a player that is used here.
 *
 * @typedef {object} Player
 * @property {{$video: HTMLVideoElement, $danmuku: HTMLElement}} template
 * @property {(event: any, listener: () => void) => unknown} on
 * @property {{setting?: boolean, lang?: string}} [option]
 * @property {{add: (item: any) => unknown, update: (item: any) => unknown}} [setting]
 */

/** @typedef {import("../danmatte.js").Options} Options */
/** @typedef {import("../danmatte.js").Masks} Masks */

/**
 *     new Artplayer({ …, plugins: [artplayerPluginDanmuku({ … }), artplayerPluginDanmatte({ track: "film.mattes" })] });
 *
 * If the player has a settings menu (`setting: true`), the viewer's preferences are added to it. They are stored in the browser unless
 * `preferences` is given. For `art.switchUrl`, give a function as `track`, or call `use`.
 *
 * @param {Options} options
 */
export function artplayerPluginDanmatte(options) {
  /** @param {Player} art */
  return (art) => {
    const { $video, $danmuku } = art.template;
    const handle = attach($video, $danmuku, { preferences: true, ...options });
    for (const event of ["flip", "aspectRatio", "resize", "fullscreenWeb", "fullscreen", "mini"]) art.on(event, () => handle.refresh());
    art.on("destroy", () => handle.detach());
    if (art.option?.setting && art.setting) addMenu(art, handle.preferences, $danmuku);
    return {
      name: "artplayerPluginDanmatte",
      handle,
      /**
       * Replaces the masks, for another video.
       *
       * @param {Masks & import("../danmatte.js").Timing} masks
       */
      use: (masks) => handle.use(masks),
    };
  };
}

/**
 * @param {Player} art
 * @param {import("../danmatte.js").Preferences} preferences
 * @param {HTMLElement} layer
 */
function addMenu(art, preferences, layer) {
  const labels = findLabels(art.option?.lang);
  /** @type {(value: number) => string} */
  const format = (value) => `${Math.round(10 * value) / 10} %`;
  let isOwn = false; // true during a click on this switch, whose new state the player shows itself
  const items = [
    {
      name: "danmatte",
      html: labels.title,
      switch: preferences.on,
      /** @param {{switch: boolean}} item */
      onSwitch(item) {
        isOwn = true;
        preferences.set({ on: !item.switch });
        isOwn = false;
        return preferences.on;
      },
    },
    ...SLIDERS.map(({ name, most, step }) => ({
      name: `danmatte-${name}`,
      html: labels[name],
      tooltip: format(100 * preferences[name]),
      range: [100 * preferences[name], 0, most, step],
      /** @param {{range: number[]}} item */
      onRange(item) {
        preferences.set({ [name]: item.range[0] / 100 });
        return format(item.range[0]);
      },
    })),
  ];
  for (const item of items) art.setting?.add(item);
  // Follow changes made in another player or tab.
  followPreferences(preferences, layer, () => {
    if (!isOwn) art.setting?.update({ name: "danmatte", switch: preferences.on });
  });
}
