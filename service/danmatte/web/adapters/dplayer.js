/** Adapter for DPlayer: its comments pass behind people, and its settings panel also has the viewer's preferences. */

import { createControls, findLabels } from "../controls.js";
import { attach } from "../danmatte.js";

/**
 * The part of a player that is used here.
 *
 * @typedef {object} Player
 * @property {HTMLVideoElement} video replaced by another element after a change of quality
 * @property {{danmaku: HTMLElement}} template
 * @property {HTMLElement} container
 * @property {{lang?: string}} [options]
 * @property {(event: string, listener: () => void) => unknown} on
 */

/**
 * Lets the player's comments pass behind people.
 *
 * @param {Player} player with the option `danmaku`, or comments drawn by `player.danmaku.draw`
 * @param {import("../danmatte.js").Options} options the viewer's preferences are stored in the browser unless `preferences` is given
 */
export function attachDPlayer(player, options) {
  const { danmaku } = player.template;
  const binding = {
    handle: attach(player.video, danmaku, { preferences: true, ...options }),
    /**
     * Replaces the masks, after `switchVideo`.
     *
     * @param {import("../danmatte.js").Masks & import("../danmatte.js").Timing} masks
     */
    use: (masks) => binding.handle.use(masks),
  };
  player.on("quality_end", () => (binding.handle = attach(player.video, danmaku, binding.handle.options)));
  player.on("destroy", () => binding.handle.detach());
  const panel = player.container.querySelector(".dplayer-setting-origin-panel");
  if (panel) {
    const labels = findLabels(player.options?.lang);
    const controls = createControls(binding.handle.preferences, { ...labels, title: labels.short });
    Object.assign(controls.style, { border: "0", margin: "0", padding: "5px 10px", minWidth: "0", font: "13px/20px sans-serif", color: "#eee" });
    for (const row of /** @type {Iterable<HTMLElement>} */ (controls.children)) {
      Object.assign(row.style, { display: "flex", justifyContent: "space-between", alignItems: "center", gap: "8px", height: "30px", whiteSpace: "nowrap" });
      const input = /** @type {HTMLElement | null} */ (row.lastElementChild);
      if (input?.getAttribute("type") === "range") Object.assign(input.style, { width: "80px", minWidth: "0" });
    }
    panel.append(controls);
  }
  return binding;
}
