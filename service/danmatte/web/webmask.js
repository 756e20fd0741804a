/** `.webmask`: gzipped segments of SVG pictures whose paths are where comments may be. */

const PREFIX = "data:image/svg+xml;base64,";
const HEAD_BYTES = 16;
const RECORD_BYTES = 12;
const MAX_RECORD_BYTES = 2 ** 20;
const MAX_MASKS = 4096;
const MAX_SEGMENTS = 2 ** 16;
const CURVE_STEPS = 4;
const TENTHS = 10; // of a pixel, y upwards
const BOX = /<svg[^>]* viewBox="0 0 ([\d.]{1,20}) ([\d.]{1,20})"/;
const PATHS = /<path[^>]* d="([^"]*)"/g;
const NUMBERS = { M: 2, L: 2, C: 6, H: 1, V: 1, Z: 0 }; // that a command takes
const TOKEN = /[a-zA-Z]|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?/g;
const BETWEEN = /^[\s,]*$/;

/** @type {import("./track.js").Format} */
export const webmask = {
  magic: 0x4d41534b, // "MASK"
  compression: "gzip",

  headBytes(head) {
    const count = head.getInt32(12);
    if (head.getInt32(4) !== 1 || head.getUint8(8) !== 2) throw new RangeError("expected .webmask version 1, codec 2");
    if (count < 1 || count > MAX_SEGMENTS) throw new RangeError(`expected 1 to ${MAX_SEGMENTS} segments, received ${count}`);
    return HEAD_BYTES + 16 * count;
  },

  index(head, fileBytes) {
    const count = head.getInt32(12);
    const segments = Array.from({ length: count }, (_, number) => {
      const at = HEAD_BYTES + 16 * number;
      return { pts: Number(head.getBigInt64(at)), offset: Number(head.getBigInt64(at + 8)), length: Infinity };
    });
    segments.forEach((segment, number) => (segment.length = (segments[number + 1]?.offset ?? fileBytes) - segment.offset));
    return { header: {}, segments };
  },

  masks(records) {
    const masks = [];
    for (let at = 0; at < records.byteLength; ) {
      const [length, pts] = [records.getInt32(at), Number(records.getBigInt64(at + 4))];
      if (masks.length === MAX_MASKS) throw new RangeError(`expected at most ${MAX_MASKS} masks in a segment`);
      if (length < PREFIX.length || length > MAX_RECORD_BYTES) throw new RangeError(`expected an SVG at ${pts} ms`);
      const text = new TextDecoder().decode(new Uint8Array(records.buffer, at + RECORD_BYTES, length));
      masks.push({ pts, cut: false, held: false, coverage: 0, shape: new Drawing(text) });
      at += RECORD_BYTES + length;
    }
    return masks;
  },
};

/** A shape whose outline is written in the file; refused at once when it can't be drawn. */
class Drawing {
  #text;
  #outline = null;

  constructor(text) {
    if (!text.startsWith(PREFIX)) throw new RangeError(`expected ${PREFIX}…, received ${text.slice(0, 40)}`);
    this.#text = text;
    const svg = this.#svg();
    if (!BOX.test(svg) || !svg.includes("<path")) throw new RangeError("expected an SVG with a viewBox and paths");
    for (const [, data] of svg.matchAll(PATHS)) for (const command of commands(data)) command;
  }

  get outline() {
    this.#outline ??= drawn(this.#svg());
    return this.#outline;
  }

  #svg() {
    try {
      return atob(this.#text.slice(PREFIX.length));
    } catch {
      throw new RangeError("expected base64");
    }
  }
}

/**
 * What the SVG leaves bare, as an outline.
 *
 * @param {string} svg
 * @returns {import("./outline.js").Outline}
 */
export function drawn(svg) {
  const [width, height] = svg.match(BOX).slice(1).map(Number);
  const painted = [...svg.matchAll(PATHS)].flatMap(([, data]) => polygons(data));
  const bare = painted.filter((ring) => !isFrame(ring, width, height));
  // Bare is what an even number of painted rings surrounds: one more around all turns it over.
  const rings = bare.length < painted.length ? bare : [...painted, [0, 0, TENTHS * width, 0, TENTHS * width, TENTHS * height, 0, TENTHS * height]];
  return { width, height, rings: rings.map((ring) => Float32Array.from(ring, (v, at) => (at % 2 ? height - v / TENTHS : v / TENTHS))) };
}

/** Whether a ring runs around the whole picture and does nothing else. */
function isFrame(ring, width, height) {
  const onEdge = (value, far) => value <= 1 || value >= TENTHS * far - 1;
  const corners = new Set();
  for (let at = 0; at < ring.length; at += 2) {
    if (!onEdge(ring[at], width) || !onEdge(ring[at + 1], height)) return false;
    corners.add(`${ring[at] > 1} ${ring[at + 1] > 1}`);
  }
  return corners.size === 4;
}

/** Rings of points out of path data with `M L H V C Z`, of either case; curves become short lines. */
function polygons(data) {
  const rings = [];
  let [x, y, ring] = [0, 0, []];
  const to = (nx, ny) => ring.push((x = nx), (y = ny));
  const draw = {
    M: (nx, ny) => (rings.push((ring = [])), to(nx, ny)),
    L: to,
    H: (nx) => to(nx, y),
    V: (ny) => to(x, ny),
    C: (...points) => curve(points.map((value, at) => value - (at % 2 ? y : x)), [x, y], to),
    Z: () => ([x, y] = ring),
  };
  for (const [letter, numbers] of commands(data)) {
    const upper = letter.toUpperCase();
    // A number that is counted from the pen becomes one of the picture's own.
    const from = upper === "V" ? [y, y] : [x, y];
    draw[upper](...(letter === upper ? numbers : numbers.map((value, at) => value + from[at % 2])));
  }
  return rings;
}

/** Each command with as many numbers as it takes; what follows the numbers of an `M` are lines. Throws RangeErrors. */
function* commands(data) {
  let [letter, numbers, end] = ["", [], 0];
  for (const { 0: token, index } of data.matchAll(TOKEN)) {
    if (!BETWEEN.test(data.slice(end, index))) break;
    end = index + token.length;
    if (!/[a-zA-Z]/.test(token)) numbers.push(Number(token));
    else if (numbers.length) break;
    else letter = token;
    const takes = NUMBERS[letter.toUpperCase()];
    if (takes === undefined || numbers.length > takes) throw new RangeError(`expected M L H V C Z, received ${token}`);
    if (numbers.length < takes) continue;
    yield [letter, numbers];
    numbers = [];
    letter = { M: "L", m: "l", Z: "", z: "" }[letter] ?? letter;
  }
  if (numbers.length || !BETWEEN.test(data.slice(end))) throw new RangeError(`expected path data, received ${data.slice(end, end + 40)}`);
}

function curve([ax, ay, bx, by, cx, cy], [x, y], to) {
  for (let step = 1; step <= CURVE_STEPS; step++) {
    const t = step / CURVE_STEPS;
    const [p, q, r] = [3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
    to(x + p * ax + q * bx + r * cx, y + p * ay + q * by + r * cy);
  }
}
