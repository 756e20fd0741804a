/** Masks in order of time, and the one that belongs to a frame. */

/** Timestamps are rounded to milliseconds on the way: half a frame at 60 frames a second is let pass. */
export const SLACK_MS = 8;

/**
 * One mask.
 *
 * @typedef {object} Mask
 * @property {number} pts of the frame it was made of, in milliseconds
 * @property {boolean} cut the first frame of a scene
 * @property {boolean} held repeated from the frame before
 * @property {number} coverage the person's share of the frame, 0 to 1
 * @property {{outline: import("./outline.js").Outline}} shape
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

/** Masks as they come, in any order; the oldest arrivals are forgotten when there are too many. */
export class Timeline {
  /** @type {Mask[]} */
  #masks = [];
  #arrivals = [];

  constructor(capacity = 9000) {
    this.capacity = capacity;
  }

  /** @param {Mask} mask takes the place of one with the same pts */
  add(mask) {
    const at = countUntil(this.#masks, mask.pts);
    const known = at > 0 && this.#masks[at - 1].pts === mask.pts;
    this.#masks.splice(known ? at - 1 : at, known ? 1 : 0, mask);
    if (!known) this.#arrivals.push(mask.pts);
    if (this.#arrivals.length > this.capacity) this.#forget(this.#arrivals.shift());
  }

  /** The newest mask that is not after this time, or null. */
  at(ms) {
    return this.#masks[countUntil(this.#masks, ms + SLACK_MS) - 1] ?? null;
  }

  #forget(pts) {
    const at = countUntil(this.#masks, pts) - 1;
    if (at >= 0 && this.#masks[at].pts === pts) this.#masks.splice(at, 1);
  }
}
