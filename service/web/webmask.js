/** `.webmask`: gzipped segments of SVG pictures whose paths are where comments may be. */

const PREFIX = "data:image/svg+xml;base64,";
const HEAD_BYTES = 16;
const RECORD_BYTES = 12;
const CURVE_STEPS = 4;
const TENTHS = 10; // of a pixel, y upwards

/** @type {import("./track.js").Format} */
export const webmask = {
  magic: 0x4d41534b, // "MASK"
  compression: "gzip",

  headBytes: (head) => HEAD_BYTES + 16 * head.getInt32(12),

  index(head, fileBytes) {
    const count = head.getInt32(12);
    if (head.getInt32(4) !== 1 || head.getUint8(8) !== 2) throw new TypeError("expected .webmask version 1, codec 2");
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
      const text = new Uint8Array(records.buffer, at + RECORD_BYTES, length);
      masks.push({ pts, cut: false, held: false, coverage: 0, shape: new Drawing(new TextDecoder().decode(text)) });
      at += RECORD_BYTES + length;
    }
    return masks;
  },
};

/** A shape whose outline is written in the file. */
class Drawing {
  #text;
  #outline = null;

  constructor(text) {
    this.#text = text;
  }

  get outline() {
    this.#outline ??= drawn(atob(this.#text.slice(PREFIX.length)));
    return this.#outline;
  }
}

/**
 * What the SVG leaves bare, as an outline.
 *
 * @param {string} svg
 * @returns {import("./outline.js").Outline}
 */
export function drawn(svg) {
  const [width, height] = svg.match(/viewBox="0 0 ([\d.]+) ([\d.]+)"/).slice(1).map(Number);
  const painted = [...svg.matchAll(/<path[^>]* d="([^"]*)"/g)].flatMap(([, data]) => polygons(data));
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

/** Rings of points out of path data with `M m l c z`; curves become short lines. */
function polygons(data) {
  const rings = [];
  let [x, y, ring, command] = [0, 0, [], ""];
  let numbers = [];
  const to = (nx, ny) => ring.push((x = nx), (y = ny));
  const draw = {
    M: ([nx, ny]) => (rings.push((ring = [])), to(nx, ny), "L"),
    m: ([dx, dy]) => (rings.push((ring = [])), to(x + dx, y + dy), "l"),
    L: ([nx, ny]) => (to(nx, ny), "L"),
    l: ([dx, dy]) => (to(x + dx, y + dy), "l"),
    c: (by) => (curve(by, [x, y], to), "c"),
  };
  for (const token of data.match(/[a-zA-Z]|-?[\d.]+/g) ?? []) {
    if (/[zZ]/.test(token)) [x, y] = ring;
    else if (/[a-zA-Z]/.test(token)) [command, numbers] = [token, []];
    else if (numbers.push(Number(token)) === (command === "c" ? 6 : 2)) [command, numbers] = [draw[command](numbers), []];
  }
  return rings;
}

function curve([ax, ay, bx, by, cx, cy], [x, y], to) {
  for (let step = 1; step <= CURVE_STEPS; step++) {
    const t = step / CURVE_STEPS;
    const [p, q, r] = [3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
    to(x + p * ax + q * bx + r * cx, y + p * ay + q * by + r * cy);
  }
}
