/** Controls for the viewer's preferences: a switch and two sliders, usable by keyboard and screen reader. */

import { MAX_MARGIN, openPreferences } from "./preferences.js";

/** @typedef {import("./preferences.js").Preferences} Preferences */
/** @typedef {{title: string, short: string, margin: string, strength: string}} Labels `short` is for narrow menus */

/** @type {Record<string, Labels>} */
const LABELS = {
  en: { title: "Comments behind people", short: "Behind people", margin: "Distance", strength: "Strength" },
  zh: { title: "弹幕防挡人物", short: "防挡人物", margin: "间距", strength: "强度" },
  ja: { title: "人物の後ろにコメント", short: "人物の後ろ", margin: "間隔", strength: "強さ" },
};
const OWN_KEYS = [" ", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];

/**
 * The sliders' names and ranges in percent: `margin` of the picture's height, `strength` of full strength.
 *
 * @type {{name: "margin" | "strength", most: number, step: number}[]}
 */
export const SLIDERS = [
  { name: "margin", most: 100 * MAX_MARGIN, step: 0.5 },
  { name: "strength", most: 100, step: 5 },
];

/**
 * Labels in the viewer's language; English if there are none.
 *
 * @param {string} [language] such as `zh-cn`; unless given, that of the page, or else that of the browser
 * @returns {Labels}
 */
export function findLabels(language = document.documentElement?.lang || globalThis.navigator?.language || "en") {
  return LABELS[language.toLowerCase().split(/[-_]/)[0]] ?? LABELS.en;
}

/**
 * A group of native inputs without styles. Put it where viewers look for settings.
 *
 * @param {Preferences} [preferences] those stored in the browser unless given
 * @param {Labels} [labels]
 * @returns {HTMLFieldSetElement} with the class `danmatte-controls`
 */
export function createControls(preferences = openPreferences(), labels = findLabels()) {
  const group = document.createElement("fieldset");
  group.className = "danmatte-controls";
  group.setAttribute("aria-label", labels.title);
  /** @type {(text: string, attributes: Record<string, string>) => HTMLInputElement} */
  const add = (text, attributes) => {
    const [row, name, input] = ["label", "span", "input"].map((tag) => document.createElement(tag));
    name.textContent = text;
    for (const [key, value] of Object.entries(attributes)) input.setAttribute(key, value);
    row.append(name, input);
    group.append(row);
    return /** @type {HTMLInputElement} */ (input);
  };
  const toggle = add(labels.title, { type: "checkbox", role: "switch" });
  toggle.addEventListener("change", () => preferences.set({ on: toggle.checked }));
  const sliders = SLIDERS.map(({ name, most, step }) => {
    const input = add(labels[name], { type: "range", min: "0", max: String(most), step: String(step) });
    input.addEventListener("input", () => preferences.set({ [name]: Number(input.value) / 100 }));
    return { name, input };
  });
  // Players handle arrow keys and space as shortcuts, even if an input has the focus.
  group.addEventListener("keydown", (event) => {
    if (OWN_KEYS.includes(/** @type {KeyboardEvent} */ (event).key)) event.stopPropagation();
  });
  const show = () => {
    toggle.checked = preferences.on;
    for (const { name, input } of sliders) {
      input.value = String(Math.round(1000 * preferences[name]) / 10);
      input.disabled = !preferences.on;
      input.setAttribute("aria-valuetext", `${input.value} %`);
    }
  };
  show();
  followPreferences(preferences, group, show);
  return group;
}

/**
 * Calls `onchange` after every change, until the element is garbage collected.
 *
 * @param {Preferences} preferences
 * @param {Element} element that the callback belongs to
 * @param {() => void} onchange
 */
export function followPreferences(preferences, element, onchange) {
  const kept = new WeakRef(element);
  callbacks.set(element, [...(callbacks.get(element) ?? []), onchange]);
  const call = () => {
    const found = kept.deref();
    if (found) callbacks.get(found)?.forEach((callback) => callback());
    else preferences.removeEventListener("change", call);
  };
  preferences.addEventListener("change", call);
}

/** @type {WeakMap<Element, (() => void)[]>} weak, so that callbacks don't keep their element in memory */
const callbacks = new WeakMap();
