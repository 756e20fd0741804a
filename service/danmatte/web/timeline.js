/** Masks in order of time, and the one that belongs to a frame. */

/** Timestamps are rounded to milliseconds on the way; half a frame at 60 frames a second is tolerated. */
export const SLACK_MS = 8;
const MASK_BYTES = 400; // of objects around the outline

/**
 * One mask.
 *
 * @typedef {object} Mask
 * @property {number} pts of the frame it was made of, in milliseconds
 * @property {boolean} cut the first frame of a scene
 * @property {boolean} held repeated from the frame before
 * @property {number} coverage the person's share of the frame, 0 to 1
 * @property {{outline: import("./outline.js").Outline, bytes?: number}} shape
 */

/**
 * How many of the items, which are sorted by `pts`, are not after this time.
 *
 * @param {{pts: number}[]} items
 * @param {number} ms
 */
export function countUntil(items, ms) {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].pts <= ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Masks as they come, in any order; the oldest arrivals are dropped when they take too much room. */
export class Timeline {
  /** @type {Mask[]} */
  #masks = [];
  /** @type {Mask[]} */
  #arrivals = [];
  #capacity;
  #bytes = 0;

  /** @param {number} capacity in bytes */
  constructor(capacity = 2 ** 25) {
    this.#capacity = capacity;
  }

  /** @param {Mask} mask takes the place of one with the same pts */
  add(mask) {
    const at = countUntil(this.#masks, mask.pts);
    const known = at > 0 && this.#masks[at - 1].pts === mask.pts;
    const [replaced] = this.#masks.splice(known ? at - 1 : at, known ? 1 : 0, mask);
    if (replaced) this.#arrivals.splice(this.#arrivals.indexOf(replaced), 1);
    this.#arrivals.push(mask);
    this.#bytes += countBytes(mask) - (replaced ? countBytes(replaced) : 0);
    while (this.#bytes > this.#capacity && this.#arrivals.length > 1) {
      const [oldest] = this.#arrivals.splice(0, 1);
      this.#masks.splice(this.#masks.indexOf(oldest), 1);
      this.#bytes -= countBytes(oldest);
    }
  }

  /**
   * The newest mask that is not after this time, or null.
   *
   * @param {number} ms
   */
  find(ms) {
    return this.#masks[countUntil(this.#masks, ms + SLACK_MS) - 1] ?? null;
  }
}

/**
 * Bytes that a mask takes, about.
 *
 * @param {Mask} mask
 */
function countBytes({ shape }) {
  return MASK_BYTES + (shape?.bytes ?? 0);
}
