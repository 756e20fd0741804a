/** Masks sorted by time, and the search for the mask of a frame. */

/** Tolerance for rounded timestamps: half a frame at 60 frames a second. */
export const SLACK_MS = 8;
const MASK_BYTES = 400; // memory of the objects around the outline

/**
 * One mask.
 *
 * @typedef {object} Mask
 * @property {number} pts time of the frame that it was made from, in milliseconds
 * @property {boolean} cut whether the frame is the first of a scene
 * @property {boolean} held whether the mask is repeated from the frame before
 * @property {number} coverage share of the frame that shows people, 0 to 1
 * @property {{outline: import("./outline.js").Outline, bytes?: number}} shape
 */

/**
 * The number of items that are not after this time. The items are sorted by `pts`.
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

/** A store of masks, which may be added in any order. The masks added first are evicted when it exceeds its capacity. */
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

  /** @param {Mask} mask replaces a mask with the same pts */
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
 * The approximate memory of a mask in bytes.
 *
 * @param {Mask} mask
 */
function countBytes({ shape }) {
  return MASK_BYTES + (shape?.bytes ?? 0);
}
