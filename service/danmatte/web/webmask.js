/** The track format `.webmask`: gzipped segments of SVG pictures whose paths cover the area where comments may be shown. */

const PREFIX = "data:image/svg+xml;base64,";
const HEAD_BYTES = 16;
const PLACE_BYTES = 16;
const RECORD_BYTES = 12;
const MAX_RECORD_BYTES = 2 ** 20;
const MAX_MASKS = 4096;
const MAX_SEGMENTS = 2 ** 16;
const CURVE_STEPS = 4;
const TENTHS = 10; // paths are in tenths of a pixel; y points upwards
const BOX = /<svg[^>]* viewBox="0 0 ([\d.]{1,20}) ([\d.]{1,20})"/;
const PATHS = /<path[^>]* d="([^"]*)"/g;
/** @type {Record<string, number | undefined>} how many numbers a command takes */
const NUMBERS = { M: 2, L: 2, C: 6, H: 1, V: 1, Z: 0 };
const TOKEN = /[a-zA-Z]|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?/g;
const BETWEEN = /^[\s,]*$/;

/** @type {import("./track.js").Format<object>} */
export const webmask = {
  magic: 0x4d41534b, // "MASK"
  compression: "gzip",

  measureHead(head) {
    const count = head.getInt32(12);
    if (head.getInt32(4) !== 1 || head.getUint8(8) !== 2) throw new RangeError("expected .webmask version 1, codec 2");
    if (count < 1 || count > MAX_SEGMENTS) throw new RangeError(`expected 1 to ${MAX_SEGMENTS} segments, received ${count}`);
    return HEAD_BYTES + PLACE_BYTES * count;
  },

  readIndex(head, fileBytes) {
    const segments = Array.from({ length: head.getInt32(12) }, (_, number) => {
      const at = HEAD_BYTES + PLACE_BYTES * number;
      return { pts: Number(head.getBigInt64(at)), offset: Number(head.getBigInt64(at + 8)), length: Infinity };
    });
    // A segment ends where the next one starts. The last one's length is infinite if the file's size is unknown.
    segments.forEach((segment, number) => (segment.length = (segments[number + 1]?.offset ?? fileBytes) - segment.offset));
    return { header: {}, segments };
  },

  readMasks(records) {
    const masks = [];
    for (let at = 0; at < records.byteLength; ) {
      const [length, pts] = [records.getInt32(at), Number(records.getBigInt64(at + 4))];
      if (masks.length === MAX_MASKS) throw new RangeError(`expected at most ${MAX_MASKS} masks in a segment`);
      if (length < PREFIX.length || length > MAX_RECORD_BYTES) throw new RangeError(`expected an SVG at ${pts} ms`);
      const text = new TextDecoder().decode(new Uint8Array(records.buffer, at + RECORD_BYTES, length));
      masks.push({ pts, cut: false, held: false, coverage: 0, shape: new SvgShape(text) });
      at += RECORD_BYTES + length;
    }
    return masks;
  },
};

/** A shape whose outline is an SVG in the file. An invalid SVG is refused when it is read, not when it is first drawn. */
class SvgShape {
  #text;
  /** @type {import("./outline.js").Outline | null} */
  #outline = null;

  /** @param {string} text a data URL */
  constructor(text) {
    if (!text.startsWith(PREFIX)) throw new RangeError(`expected ${PREFIX}…, received ${text.slice(0, 40)}`);
    this.#text = text;
    const svg = this.#decode();
    if (!BOX.test(svg) || !svg.includes("<path")) throw new RangeError("expected an SVG with a viewBox and paths");
    for (const [, data] of svg.matchAll(PATHS)) for (const command of readCommands(data)) command;
  }

  /** The outline of the area that the SVG doesn't paint. */
  get outline() {
    if (this.#outline) return this.#outline;
    const svg = this.#decode();
    const [width, height] = BOX.exec(svg)?.slice(1).map(Number) ?? [];
    const painted = [...svg.matchAll(PATHS)].flatMap(([, data]) => toRings(data));
    const holes = painted.filter((ring) => {
      // A ring that only runs along the picture's edges and touches all four corners surrounds the whole picture.
      const corners = new Set();
      for (let at = 0; at < ring.length; at += 2) {
        const [x, y] = [ring[at], ring[at + 1]];
        if (!(x <= 1 || x >= TENTHS * width - 1) || !(y <= 1 || y >= TENTHS * height - 1)) return true;
        corners.add(`${x > 1} ${y > 1}`);
      }
      return corners.size < 4;
    });
    // A point is unpainted if an even number of rings surrounds it. Removing the ring around the whole picture, or
    // adding one, inverts this, so that the rings then surround the unpainted area.
    const frame = [0, 0, TENTHS * width, 0, TENTHS * width, TENTHS * height, 0, TENTHS * height];
    const rings = (holes.length < painted.length ? holes : [...painted, frame]).map((ring) =>
      Float32Array.from(ring, (value, at) => (at % 2 ? height - value / TENTHS : value / TENTHS)),
    );
    this.#outline = { width, height, rings };
    return this.#outline;
  }

  #decode() {
    try {
      return atob(this.#text.slice(PREFIX.length));
    } catch {
      throw new RangeError("expected base64");
    }
  }
}

/**
 * Rings of points from path data. The commands are `M L H V C Z`, absolute or relative; curves become short lines.
 *
 * @param {string} data
 */
function toRings(data) {
  /** @type {number[][]} */
  const rings = [];
  let [x, y] = [0, 0];
  /** @type {number[]} */
  let ring = [];
  /** @type {(nx: number, ny: number) => void} */
  const lineTo = (nx, ny) => {
    [x, y] = [nx, ny];
    ring.push(nx, ny);
  };
  /** @type {Record<string, (...numbers: number[]) => void>} */
  const draw = {
    M(nx, ny) {
      rings.push((ring = []));
      lineTo(nx, ny);
    },
    L: lineTo,
    H: (nx) => lineTo(nx, y),
    V: (ny) => lineTo(x, ny),
    C(...ends) {
      const [x0, y0] = [x, y];
      const [ax, ay, bx, by, cx, cy] = ends.map((value, at) => value - (at % 2 ? y0 : x0));
      for (let step = 1; step <= CURVE_STEPS; step++) {
        const t = step / CURVE_STEPS;
        const [p, q, r] = [3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
        lineTo(x0 + p * ax + q * bx + r * cx, y0 + p * ay + q * by + r * cy);
      }
    },
    Z: () => void ([x, y] = ring),
  };
  for (const [letter, numbers] of readCommands(data)) {
    const upper = letter.toUpperCase();
    // Convert relative coordinates to absolute ones.
    const from = upper === "V" ? [y, y] : [x, y];
    draw[upper](...(letter === upper ? numbers : numbers.map((value, at) => value + from[at % 2])));
  }
  return rings;
}

/**
 * Yields each command with the numbers that it takes. Further pairs of numbers after an `M` are lines, as in SVG.
 *
 * @param {string} data
 * @returns {Generator<[letter: string, numbers: number[]]>}
 * @throws {RangeError}
 */
function* readCommands(data) {
  let [letter, end] = ["", 0];
  /** @type {number[]} */
  let numbers = [];
  for (const { 0: token, index } of data.matchAll(TOKEN)) {
    if (!BETWEEN.test(data.slice(end, index))) break;
    end = index + token.length;
    if (!/^[a-zA-Z]/.test(token)) numbers.push(Number(token));
    else if (numbers.length) break;
    else letter = token;
    const takes = NUMBERS[letter.toUpperCase()];
    if (takes === undefined) throw new RangeError(`expected M L H V C Z, received ${token}`);
    if (numbers.length < takes) continue;
    yield [letter, numbers];
    numbers = [];
    if (letter.toUpperCase() === "M") letter = letter === "M" ? "L" : "l";
    else if (letter.toUpperCase() === "Z") letter = "";
  }
  if (numbers.length || !BETWEEN.test(data.slice(end))) throw new RangeError(`expected path data, received ${data.slice(end, end + 40)}`);
}
