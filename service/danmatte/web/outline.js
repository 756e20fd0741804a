/**
 * Converts a mask's pixels to an outline for `clip-path`.
 *
 * A clip path takes effect immediately. A mask image would have to be decoded first, which causes flicker.
 */

/**
 * @typedef {object} Outline
 * @property {number} width of the mask in pixels
 * @property {number} height
 * @property {Float32Array[]} rings closed polygons, x and y alternating, in the mask's pixels
 */

/**
 * @typedef {object} Place
 * @property {import("./transforms.js").Matrix} matrix from the picture, whose width and height count as 1, to CSS pixels of
 *   the layer, without its transforms
 * @property {number} layerWidth of the comment layer
 * @property {number} layerHeight
 */

const REACH = 2; // points averaged on each side, which smooths the steps along pixels
const MIN_EDGES = 12; // rings with fewer edges are noise
const FLAT = 0.12; // mask pixels; points that are nearer than this to a straight line are left out
const LONGEST = 6; // mask pixels; on a straight line a point is kept after this distance

/** A mask's shape. Its outline is computed on first access. */
export class Shape {
  /** @type {(() => number[][]) | null} */
  #readRings;
  /** @type {Outline | null} */
  #outline = null;

  /**
   * @param {number} width in pixels
   * @param {number} height
   * @param {() => number[][]} readRings returns rings along pixel edges: the middle of each edge, x and y alternating
   */
  constructor(width, height, readRings) {
    this.width = width;
    this.height = height;
    this.#readRings = readRings;
  }

  /** @returns {Outline} */
  get outline() {
    this.#outline ??= roundRings(this.#readRings?.() ?? [], this.width, this.height);
    this.#readRings = null;
    return this.#outline;
  }
}

/**
 * Smooths rings that follow pixel edges, and leaves out very small ones.
 *
 * @param {number[][]} rings
 * @param {number} width
 * @param {number} height
 * @returns {Outline}
 */
export function roundRings(rings, width, height) {
  const rounded = [];
  for (const ring of rings) {
    const { length } = ring;
    if (length / 2 < MIN_EDGES) continue;
    // First compute a moving average along the ring.
    const smooth = new Float32Array(length);
    for (let at = 0; at < length; at++) {
      const far = at % 2 ? height : width;
      let sum = 0;
      for (let step = -REACH; step <= REACH; step++) sum += ring[(at + 2 * step + length) % length];
      smooth[at] = sum / (2 * REACH + 1);
      // Points on the picture's edge stay there; otherwise comments would show in a thin gap between person and edge.
      for (const near of [ring[(at + 2) % length], ring[(at - 2 + length) % length], ring[at]]) {
        if (near === 0 || near === far) smooth[at] = near;
      }
    }
    // Then leave out the points on an almost straight line between their neighbours.
    const kept = [smooth[0], smooth[1]];
    for (let at = 2; at < length; at += 2) {
      const [ax, ay] = kept.slice(-2);
      const next = (at + 2) % length;
      const [bx, by] = [smooth[next] - ax, smooth[next + 1] - ay];
      const away = Math.abs(bx * (smooth[at + 1] - ay) - by * (smooth[at] - ax)) / (Math.hypot(bx, by) || 1);
      const far = Math.hypot(smooth[at] - ax, smooth[at + 1] - ay);
      if (away > FLAT || far > LONGEST) kept.push(smooth[at], smooth[at + 1]);
    }
    rounded.push(new Float32Array(kept));
  }
  return { width, height, rings: rounded };
}

/**
 * The rings around painted pixels. Each follows the edges between painted and unpainted pixels, with the painted ones on its
 * right.
 *
 * @param {Uint8Array} columns 0 or 1 (painted) for each pixel, column by column, each from its top; `width * height` values
 * @param {number} width
 * @param {number} height
 * @returns {number[][]} the middle of each pixel edge, x and y alternating
 */
export function traceRings(columns, width, height) {
  /** @type {(x: number, y: number) => boolean} */
  const isPainted = (x, y) => x >= 0 && y >= 0 && x < width && y < height && columns[x * height + y] === 1;
  const rings = [];
  const seen = new Uint8Array(columns.length); // 1 if the pixel's upper edge is part of a ring
  for (let start = 0; start < columns.length; start++) {
    // Every ring has a painted pixel below an unpainted one; the ring is traced from the first such pixel.
    if (!columns[start] || seen[start] || (start % height && columns[start - 1])) continue;
    const [x0, y0] = [Math.floor(start / height), start % height];
    /** @type {number[]} */
    const ring = [];
    let [x, y, dx, dy] = [x0, y0, 1, 0];
    do {
      if (dx === 1) seen[x * height + y] = 1;
      ring.push(x + dx / 2, y + dy / 2);
      x += dx;
      y += dy;
      // The two pixels ahead: to the right and to the left of the direction of travel.
      const right = isPainted(x + (dx - dy - 1) / 2, y + (dx + dy - 1) / 2);
      const left = isPainted(x + (dx + dy - 1) / 2, y + (dy - dx - 1) / 2);
      if (!right) [dx, dy] = [-dy, dx];
      else if (left) [dx, dy] = [dy, -dx];
    } while (x !== x0 || y !== y0 || dx !== 1);
    rings.push(ring);
  }
  return rings;
}

/**
 * The CSS value that shows a layer everywhere except inside the outline.
 *
 * @param {Outline} outline
 * @param {Place} place
 * @returns {string} for `clip-path`
 */
export function toClipPath(outline, place) {
  const [w, h] = findReach(place);
  return `path(evenodd, "M${-w} ${-h}H${2 * w}V${2 * h}H${-w}Z${toPathData(outline, place)}")`;
}

/**
 * How far outside of the layer comments may be: before they enter it, and over a layer that has no height.
 *
 * @param {Place} place
 * @returns {[width: number, height: number]} of the layer or the picture, whichever is larger; comments are expected within this distance on every side
 */
export function findReach({ matrix: [a, b, c, d, e, f], layerWidth, layerHeight }) {
  const [x, y] = [Math.abs(a) + Math.abs(c) + Math.abs(e), Math.abs(b) + Math.abs(d) + Math.abs(f)];
  return [Math.ceil(Math.max(layerWidth, x)), Math.ceil(Math.max(layerHeight, y))];
}

/**
 * The outline as SVG path data in the layer's pixels, for `Path2D` or an SVG element.
 *
 * @param {Outline} outline
 * @param {Place} place
 */
export function toPathData({ width, height, rings }, { matrix }) {
  const [a, b, c, d, e, f] = matrix;
  const [ax, bx, cy, dy] = [a / width, b / width, c / height, d / height];
  const parts = [];
  for (const ring of rings) {
    for (let at = 0; at < ring.length; at += 2) {
      const x = Math.round((ax * ring[at] + cy * ring[at + 1] + e) * 10) / 10;
      const y = Math.round((bx * ring[at] + dy * ring[at + 1] + f) * 10) / 10;
      parts.push(`${at ? "L" : "M"}${x} ${y}`);
    }
    parts.push("Z");
  }
  return parts.join("");
}
