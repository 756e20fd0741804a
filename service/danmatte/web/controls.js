/** What a viewer sets comments behind people with: a switch and two sliders, by keyboard and screen reader as well. */

import { MOST_MARGIN, openPreferences } from "./preferences.js";

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
 * The sliders' names and ranges, in percent: what of the picture's height, and what of a comment.
 *
 * @type {{name: "margin" | "strength", most: number, step: number}[]}
 */
export const SLIDERS = [
  { name: "margin", most: 100 * MOST_MARGIN, step: 0.5 },
  { name: "strength", most: 100, step: 5 },
];

/**
 * Words in the viewer's language, English where it isn't known.
 *
 * @param {string} [language] such as `zh-cn`; the page's, or the browser's, unless given
 * @returns {Labels}
 */
export function findLabels(language = document.documentElement?.lang || globalThis.navigator?.language || "en") {
  return LABELS[language.toLowerCase().split(/[-_]/)[0]] ?? LABELS.en;
}

/**
 * A group of native inputs without styles of their own; put it where viewers look for settings.
 *
 * @param {Preferences} [preferences] those that the browser remembers unless given
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
  // Players take arrows and space for themselves, also from inputs.
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
 * Calls back after every change, as long as an element is kept by somebody.
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

/** @type {WeakMap<Element, (() => void)[]>} so that an element's callbacks don't keep it */
const callbacks = new WeakMap();
