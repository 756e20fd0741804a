/** Scene cuts, seen while a video plays: two frames in a row that have little in common. */

const [WIDTH, HEIGHT] = [16, 9];
const MEAN_DIFFERENCE = 38; // of 255; pans and zooms stay below 20
const GAP_MS = 500; // frames that are further apart aren't compared
const MOST_CUTS = 2000;

/** Compares thumbnails of 16×9 pixels, and remembers when scenes began. */
export class CutDetector {
  #context = /** @type {CanvasRenderingContext2D} */ (
    Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT }).getContext("2d", {
      willReadFrequently: true,
    })
  );
  /** @type {{ms: number, data: Uint8ClampedArray} | null} */
  #last = null;
  /** @type {number[]} */
  #cuts = [];

  /**
   * @param {CanvasImageSource} video showing the frame at this time
   * @param {number} ms
   * @throws {DOMException} a SecurityError when the video may not be read
   */
  addFrame(video, ms) {
    this.#context.drawImage(video, 0, 0, WIDTH, HEIGHT);
    const { data } = this.#context.getImageData(0, 0, WIDTH, HEIGHT);
    const last = this.#last;
    this.#last = { ms, data };
    if (!last || ms <= last.ms || ms - last.ms >= GAP_MS || this.#cuts.includes(ms)) return;
    let sum = 0;
    for (let at = 0; at < data.length; at++) if (at % 4 < 3) sum += Math.abs(data[at] - last.data[at]); // not alpha
    if (sum / (0.75 * data.length) <= MEAN_DIFFERENCE) return;
    this.#cuts.push(ms);
    if (this.#cuts.length > MOST_CUTS) this.#cuts.shift();
  }

  /**
   * Whether a scene began after the first time and not after the second.
   *
   * @param {number} from milliseconds
   * @param {number} to
   */
  hasCut(from, to) {
    return this.#cuts.some((ms) => ms > from && ms <= to);
  }
}
