/** Cuts seen while a video plays: two frames in a row that have little in common. */

const [WIDTH, HEIGHT] = [16, 9];
const MEAN_DIFFERENCE = 38; // of 255; pans and zooms stay below 20
const GAP_MS = 500;

/** Looks at every frame as a stamp of 16×9 and remembers when a scene began. */
export class Cuts {
  #context = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT }).getContext("2d", {
    willReadFrequently: true,
  });
  #last = null;
  /** @type {number[]} */
  #begins = [];

  /** @param {HTMLVideoElement} video showing the frame at this time */
  see(video, ms) {
    this.#context.drawImage(video, 0, 0, WIDTH, HEIGHT);
    const { data } = this.#context.getImageData(0, 0, WIDTH, HEIGHT);
    const inTurn = this.#last && ms > this.#last.ms && ms - this.#last.ms < GAP_MS;
    if (inTurn && difference(data, this.#last.data) > MEAN_DIFFERENCE && !this.#begins.includes(ms)) {
      this.#begins.push(ms);
      if (this.#begins.length > 2000) this.#begins.shift();
    }
    this.#last = { ms, data };
  }

  /** Whether a scene began after the first time and not after the second. */
  between(from, to) {
    return this.#begins.some((ms) => ms > from && ms <= to);
  }
}

/**
 * Mean difference of two stamps, 0 to 255.
 *
 * @param {Uint8ClampedArray} one RGBA
 * @param {Uint8ClampedArray} other
 */
export function difference(one, other) {
  let sum = 0;
  for (let at = 0; at < one.length; at += 4) {
    sum += Math.abs(one[at] - other[at]) + Math.abs(one[at + 1] - other[at + 1]) + Math.abs(one[at + 2] - other[at + 2]);
  }
  return sum / (one.length * 0.75);
}
