/** Detection of scene cuts while a video plays: two consecutive frames that differ strongly. */

const [WIDTH, HEIGHT] = [16, 9];
const MEAN_DIFFERENCE = 38; // out of 255; pans and zooms stay below 20
const GAP_MS = 500; // frames further apart aren't compared
const MAX_CUTS = 2000;

/** A detector that compares thumbnails of 16×9 pixels and remembers the times of cuts. */
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
   * @param {CanvasImageSource} video that shows the frame
   * @param {number} ms time of the frame
   * @throws {DOMException} a SecurityError if the page may not read the video's pixels
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
    if (this.#cuts.length > MAX_CUTS) this.#cuts.shift();
  }

  /**
   * Whether there is a cut after the first time and not after the second.
   *
   * @param {number} from milliseconds
   * @param {number} to
   */
  hasCut(from, to) {
    return this.#cuts.some((ms) => ms > from && ms <= to);
  }
}
