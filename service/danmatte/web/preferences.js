/** What a viewer chose: comments behind people or not, how far from them, how strongly. */

/**
 * @typedef {object} Choices
 * @property {boolean} on whether comments pass behind people
 * @property {number} margin how far from people comments end, as a share of the picture's height, 0 to 0.05
 * @property {number} strength how much of a comment a person hides, 0 to 1
 */

export const MOST_MARGIN = 0.05;
const DEFAULTS = { on: true, margin: 0, strength: 1 };
const KEY = "danmatte";

/** @type {Map<string, Preferences>} */
const known = new Map();

/**
 * The preferences that this browser remembers; all players of a page share them.
 *
 * @param {Partial<Choices>} [defaults] for a viewer who hasn't chosen yet; those of the first call count
 * @param {string} [key] in `localStorage`
 * @returns {Preferences}
 */
export function openPreferences(defaults = {}, key = KEY) {
  const found = known.get(key) ?? new Preferences(defaults, key);
  known.set(key, found);
  return found;
}

/** Choices of one viewer; an event `change` tells of a new one. */
export class Preferences extends EventTarget {
  /** @type {Choices} */
  #choices;
  #key;

  /**
   * @param {Partial<Choices>} [defaults]
   * @param {string | null} [key] in `localStorage`; null remembers nothing
   */
  constructor(defaults = {}, key = null) {
    super();
    this.#key = key;
    this.#choices = check({ ...defaults, ...this.#recall() });
    if (key === null) return;
    // A choice in another tab counts here, too.
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
   * Takes a choice and remembers it.
   *
   * @param {Partial<Choices>} choices numbers outside their range become the nearest in it
   */
  set(choices) {
    this.#change(choices);
    if (this.#key === null) return;
    try {
      localStorage.setItem(this.#key, JSON.stringify(this.#choices));
    } catch {
      // Storage is full, or the viewer forbids it: the choice holds until the page is left.
    }
  }

  /** @param {Partial<Choices>} choices */
  #change(choices) {
    const before = this.#choices;
    this.#choices = check({ ...before, ...choices });
    const names = /** @type {(keyof Choices)[]} */ (Object.keys(before));
    if (names.some((name) => before[name] !== this.#choices[name])) this.dispatchEvent(new Event("change"));
  }

  /** @returns {Partial<Choices>} what was remembered, as far as it can be read */
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
 * @returns {Choices} whole, and each in its range
 */
function check({ on = DEFAULTS.on, margin = DEFAULTS.margin, strength = DEFAULTS.strength }) {
  /** @type {(value: number, most: number, other: number) => number} */
  const clamp = (value, most, other) => (Number.isFinite(value) ? Math.min(most, Math.max(0, value)) : other);
  return { on: Boolean(on), margin: clamp(margin, MOST_MARGIN, DEFAULTS.margin), strength: clamp(strength, 1, DEFAULTS.strength) };
}
