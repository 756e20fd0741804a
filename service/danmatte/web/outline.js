/**
 * From a mask's pixels to the outline that a browser clips with.
 *
 * A clip path is applied at once, where a mask picture would first be decoded: nothing flickers.
 */

/**
 * @typedef {object} Outline
 * @property {number} width of the mask, in its own pixels
 * @property {number} height
 * @property {Float32Array[]} rings closed, x and y in turn, in the mask's pixels
 */

/**
 * @typedef {object} Place
 * @property {number} x of the picture's left edge in the layer, in CSS pixels
 * @property {number} y
 * @property {number} width of the picture
 * @property {number} height
 * @property {number} layerWidth of the comment layer
 * @property {number} layerHeight
 */

const REACH = 2; // points averaged on either side: stairs become slopes
const SPECK = 12; // rings of fewer edges are noise
const FLAT = 0.12; // mask pixels; points that bend a line less than this are left out

/** A mask's shape, its outline drawn when it is first asked for. */
export class Shape {
  #cracks;
  #outline = null;

  /**
   * @param {number} width in pixels
   * @param {number} height
   * @param {() => number[][]} cracks rings along the edges of pixels, as the middles of their unit steps, x and y in turn
   */
  constructor(width, height, cracks) {
    Object.assign(this, { width, height });
    this.#cracks = cracks;
  }

  /** @returns {Outline} */
  get outline() {
    this.#outline ??= rounded(this.#cracks(), this.width, this.height);
    this.#cracks = null;
    return this.#outline;
  }
}

/**
 * Rings along pixels without their stairs.
 *
 * @param {number[][]} cracks
 * @param {number} width
 * @param {number} height
 * @returns {Outline}
 */
export function rounded(cracks, width, height) {
  const rings = cracks.filter((ring) => ring.length / 2 >= SPECK);
  return { width, height, rings: rings.map((ring) => thinned(smoothed(ring, width, height))) };
}

/**
 * The rings around what is painted.
 *
 * @param {Uint8Array} columns 0 or 1, column after column from the top, `width * height` of them
 * @param {number} width
 * @param {number} height
 * @returns {number[][]}
 */
export function traced(columns, width, height) {
  const rings = [];
  const seen = new Uint8Array(columns.length);
  for (let at = 0; at < columns.length; at++) {
    if (!columns[at] || seen[at] || (at % height && columns[at - 1])) continue;
    rings.push(followed(columns, width, height, at, seen));
  }
  return rings;
}

/** Walks along the cracks between painted and bare pixels, paint on the right hand; the middle of every edge. */
function followed(columns, width, height, start, seen) {
  const painted = (x, y) => x >= 0 && y >= 0 && x < width && y < height && columns[x * height + y] === 1;
  const first = { x: Math.floor(start / height), y: start % height };
  const ring = [];
  let { x, y } = first;
  let dx = 1, dy = 0;
  do {
    if (dx === 1) seen[x * height + y] = 1;
    ring.push(x + dx / 2, y + dy / 2);
    x += dx;
    y += dy;
    // The pixels ahead, to the right and to the left of the way.
    const right = painted(x + (dx - dy - 1) / 2, y + (dx + dy - 1) / 2);
    const left = painted(x + (dx + dy - 1) / 2, y + (dy - dx - 1) / 2);
    if (!right) [dx, dy] = [-dy, dx];
    else if (left) [dx, dy] = [dy, -dx];
  } while (x !== first.x || y !== first.y || dx !== 1);
  return ring;
}

/** A running mean around the ring; what touches the picture's edge stays there, or a sliver would show. */
function smoothed(ring, width, height) {
  const count = ring.length / 2;
  const smooth = new Float32Array(ring.length);
  for (let at = 0; at < count; at++) {
    let x = 0, y = 0;
    for (let step = -REACH; step <= REACH; step++) {
      const near = ((at + step + count) % count) * 2;
      x += ring[near];
      y += ring[near + 1];
    }
    smooth[2 * at] = held(ring, at, 0, width) ?? x / (2 * REACH + 1);
    smooth[2 * at + 1] = held(ring, at, 1, height) ?? y / (2 * REACH + 1);
  }
  return smooth;
}

/** The border's coordinate when this point or its neighbour lies on it. */
function held(ring, at, axis, far) {
  for (const step of [0, -1, 1]) {
    const value = ring[((2 * (at + step) + ring.length) % ring.length) + axis];
    if (value === 0 || value === far) return value;
  }
  return undefined;
}

/** Without the points that lie on the way from the one before to the one after. */
function thinned(ring) {
  const kept = [ring[0], ring[1]];
  for (let at = 2; at < ring.length; at += 2) {
    const [ax, ay] = kept.slice(-2);
    const next = (at + 2) % ring.length;
    const bx = ring[next] - ax, by = ring[next + 1] - ay;
    const away = Math.abs(bx * (ring[at + 1] - ay) - by * (ring[at] - ax)) / (Math.hypot(bx, by) || 1);
    if (away > FLAT || Math.hypot(ring[at] - ax, ring[at + 1] - ay) > 6) kept.push(ring[at], ring[at + 1]);
  }
  return new Float32Array(kept);
}

/**
 * The CSS value that shows a layer everywhere but inside the outline.
 *
 * @param {Outline} outline
 * @param {Place} place
 * @returns {string} for `clip-path`
 */
export function clipPath(outline, place) {
  return `path(evenodd, "${around(place)}${holes(outline, place)}")`;
}

/** Far around the layer, so that comments on their way in are not cut off. */
function around({ layerWidth, layerHeight }) {
  const [w, h] = [Math.ceil(layerWidth), Math.ceil(layerHeight)];
  return `M${-w} ${-h}H${2 * w}V${2 * h}H${-w}Z`;
}

/**
 * The outline itself as SVG path data, for `Path2D` or a drawing of it.
 *
 * @param {Outline} outline
 * @param {Place} place
 */
export function holes({ width, height, rings }, place) {
  const [sx, sy] = [place.width / width, place.height / height];
  const parts = [];
  for (const ring of rings) {
    for (let at = 0; at < ring.length; at += 2) {
      const x = Math.round((place.x + ring[at] * sx) * 10) / 10;
      const y = Math.round((place.y + ring[at + 1] * sy) * 10) / 10;
      parts.push(`${at ? "L" : "M"}${x} ${y}`);
    }
    parts.push("Z");
  }
  return parts.join("");
}
