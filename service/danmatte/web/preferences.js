/** The viewer's preferences: whether comments pass behind people, the distance from people, and how much people hide comments. */

/**
 * @typedef {object} Choices
 * @property {boolean} on whether comments pass behind people
 * @property {number} margin distance from people within which comments are hidden as well, as a share of the picture's height, 0 to 0.05
 * @property {number} strength how much people hide comments: 0 not at all, 1 completely
 */

export const MAX_MARGIN = 0.05;
const DEFAULTS = { on: true, margin: 0, strength: 1 };
const KEY = "danmatte";

/** @type {Map<string, Preferences>} */
const known = new Map();

/**
 * The preferences stored in this browser. All players of a page share them.
 *
 * @param {Partial<Choices>} [defaults] for a viewer without stored preferences; later calls with the same key ignore them
 * @param {string} [key] in `localStorage`
 * @returns {Preferences}
 */
export function openPreferences(defaults = {}, key = KEY) {
  const found = known.get(key) ?? new Preferences(defaults, key);
  known.set(key, found);
  return found;
}

/** The preferences of one viewer. The event `change` is dispatched after every change. */
export class Preferences extends EventTarget {
  /** @type {Choices} */
  #choices;
  #key;

  /**
   * @param {Partial<Choices>} [defaults]
   * @param {string | null} [key] in `localStorage`; null stores nothing
   */
  constructor(defaults = {}, key = null) {
    super();
    this.#key = key;
    this.#choices = check({ ...defaults, ...this.#recall() });
    if (key === null) return;
    // Follow changes made in other tabs.
    globalThis.addEventListener?.("storage", (event) => {
      if (/** @type {StorageEvent} */ (event).key === key) this.#change(this.#recall());
    });
  }

  get on() {
    return this.#choices.on;
  }

  get margin() {
    return this.#choices.margin;
  }

  get strength() {
    return this.#choices.strength;
  }

  /**
   * Changes preferences and stores them.
   *
   * @param {Partial<Choices>} choices numbers outside their range are clamped to it
   */
  set(choices) {
    this.#change(choices);
    if (this.#key === null) return;
    try {
      localStorage.setItem(this.#key, JSON.stringify(this.#choices));
    } catch {
      // If the storage is full or forbidden, the change lasts until the page is closed.
    }
  }

  /** @param {Partial<Choices>} choices */
  #change(choices) {
    const before = this.#choices;
    this.#choices = check({ ...before, ...choices });
    const names = /** @type {(keyof Choices)[]} */ (Object.keys(before));
    if (names.some((name) => before[name] !== this.#choices[name])) this.dispatchEvent(new Event("change"));
  }

  /** @returns {Partial<Choices>} the valid part of what was stored */
  #recall() {
    if (this.#key === null) return {};
    try {
      const found = JSON.parse(localStorage.getItem(this.#key) ?? "{}");
      const entries = Object.entries(found).filter(([name, value]) => typeof value === typeof DEFAULTS[/** @type {keyof Choices} */ (name)]);
      return Object.fromEntries(entries);
    } catch {
      return {};
    }
  }
}

/**
 * @param {Partial<Choices>} choices
 * @returns {Choices} all of them, each within its range
 */
function check({ on = DEFAULTS.on, margin = DEFAULTS.margin, strength = DEFAULTS.strength }) {
  /** @type {(value: number, max: number, fallback: number) => number} */
  const clamp = (value, max, fallback) => (Number.isFinite(value) ? Math.min(max, Math.max(0, value)) : fallback);
  return { on: Boolean(on), margin: clamp(margin, MAX_MARGIN, DEFAULTS.margin), strength: clamp(strength, 1, DEFAULTS.strength) };
}
