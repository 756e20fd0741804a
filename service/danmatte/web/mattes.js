/** `.mattes`, danmatte's own track: outlines along pixels, deflated. `service/danmatte/tracks/FORMAT.md` says it byte by byte. */

import { Shape } from "./outline.js";

const HEAD_BYTES = 20;
const PLACE_BYTES = 20;
const MAX_MASKS = 4096;
const MAX_PIXELS = 2 ** 22;
const MAX_NAME_BYTES = 255;
const MAX_VARINT_BYTES = 5;
const TURN_BYTES = 243; // five turns of three kinds
const [CUT, HELD, SAME, ALL] = [2, 4, 8, 15];

/** @type {import("./track.js").Format} */
export const mattes = {
  magic: 0x4d415454, // "MATT"
  compression: "deflate",

  headBytes: (head) => HEAD_BYTES + head.getUint16(6) + PLACE_BYTES * head.getUint32(16),

  index(head) {
    const [polarity, nameBytes, width, height] = [head.getUint8(5), ...[6, 8, 10].map((at) => head.getUint16(at))];
    if (head.getUint8(4) !== 1 || polarity > 1 || nameBytes > MAX_NAME_BYTES) {
      throw new RangeError("expected .mattes version 1 with a polarity of 0 or 1 and a model's name");
    }
    const pixels = width * height;
    if (pixels < 1 || pixels > MAX_PIXELS) throw new RangeError(`expected 1 to ${MAX_PIXELS} pixels, received ${pixels}`);
    const header = { background: polarity === 1, width, height, model: text(head, HEAD_BYTES, nameBytes) };
    const first = HEAD_BYTES + nameBytes;
    const segments = Array.from({ length: head.getUint32(16) }, (_, number) => {
      const at = first + PLACE_BYTES * number;
      return {
        pts: Number(head.getBigUint64(at)),
        offset: Number(head.getBigUint64(at + 8)),
        length: head.getUint32(at + 16),
      };
    });
    return { header, segments };
  },

  masks(records, header, start) {
    const reader = new Reader(records, header);
    const masks = [];
    for (let pts = start; !reader.ended; ) {
      if (masks.length === MAX_MASKS) throw new RangeError(`expected at most ${MAX_MASKS} masks in a segment`);
      pts += reader.varint();
      const flags = reader.byte();
      const coverage = reader.byte() / 255;
      if (flags > ALL || (flags & SAME && !masks.length)) throw new RangeError(`expected known flags, received ${flags}`);
      const shape = flags & SAME ? masks.at(-1).shape : reader.shape();
      masks.push({ pts, cut: (flags & CUT) !== 0, held: (flags & HELD) !== 0, coverage, shape });
    }
    return masks;
  },
};

/** UTF-8, nothing else. */
function text(view, offset, length) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(view.buffer, view.byteOffset + offset, length));
  } catch {
    throw new RangeError("expected the model's name in UTF-8");
  }
}

/** Reads an inflated segment from front to back. */
class Reader {
  #view;
  #header;
  #at = 0;
  /** @type {[number, number][]} first corners of the last list of outlines */
  #corners = [];

  constructor(view, header) {
    [this.#view, this.#header] = [view, header];
  }

  get ended() {
    return this.#at >= this.#view.byteLength;
  }

  byte() {
    return this.#view.getUint8(this.#at++);
  }

  /** Seven bits a byte, the lowest first. */
  varint() {
    let value = 0;
    for (let weight = 1; weight < 128 ** MAX_VARINT_BYTES; weight *= 128) {
      const byte = this.byte();
      value += (byte & 127) * weight;
      if (byte < 128) return value;
    }
    throw new RangeError(`expected a number of at most ${MAX_VARINT_BYTES} bytes`);
  }

  #signed() {
    const value = this.varint();
    return value % 2 ? -(value + 1) / 2 : value / 2;
  }

  /** Where the mask's outlines begin, told by how far they are from the ones before. */
  #cornersNext() {
    const [{ width, height }, before] = [this.#header, this.#corners];
    const count = this.varint();
    if (count > width * height) throw new RangeError(`expected at most ${width * height} outlines, received ${count}`);
    this.#corners = [];
    for (let number = 0; number < count; number++) {
      const [x, y] = [0, 1].map((axis) => (before[number]?.[axis] ?? 0) + this.#signed());
      if (!(x >= 0 && x < width && y >= 0 && y < height)) throw new RangeError(`expected a corner in the picture, received ${x}, ${y}`);
      this.#corners.push([x, y]);
    }
    return this.#corners;
  }

  /** Walked over now to find the next record, and again when it is to be shown. */
  shape() {
    const corners = this.#cornersNext();
    const [view, start, { width, height, background }] = [this.#view, this.#at, this.#header];
    this.#at = walked(view, start, corners, this.#header, () => {});
    const cracks = () => {
      const rings = corners.map(() => []);
      walked(view, start, corners, { width, height }, (ring, x, y) => rings[ring].push(x, y));
      // Bare is what an even number of rings surrounds: one more around all turns it over.
      return background ? [...rings, frame(width, height)] : rings;
    };
    return new Shape(width, height, cracks);
  }
}

/** Goes along all outlines from their first corners, and answers with the place after their turns. */
function walked(view, start, corners, { width, height }, onstep) {
  let [at, turns, left] = [start, 0, 0];
  let crossings = height * (width + 1); // honest outlines go along an edge once
  const next = () => {
    if (!left) [turns, left] = [view.getUint8(at++), 5];
    if (turns >= TURN_BYTES) throw new RangeError(`expected a byte of turns below ${TURN_BYTES}, received ${turns}`);
    const turn = turns % 3;
    [turns, left] = [(turns - turn) / 3, left - 1];
    return turn;
  };
  corners.forEach(([x0, y0], ring) => {
    let [x, y, dx, dy, side] = [x0, y0, 1, 0, -1];
    for (;;) {
      onstep(ring, x + dx / 2, y + dy / 2);
      if (dy && --crossings < 0) throw new RangeError("outlines cross the picture's rows too often");
      x += dx;
      y += dy;
      if (x < 0 || y < 0 || x > width || y > height) throw new RangeError("an outline leaves the picture");
      if (x === x0 && y === y0) break;
      const turn = next();
      if (turn === 1) side = -side;
      if (turn) [dx, dy] = side > 0 ? [-dy, dx] : [dy, -dx];
    }
  });
  return at;
}

/** The ring around everything, the other way round than outlines go. */
function frame(width, height) {
  const ring = [];
  for (let y = 0; y < height; y++) ring.push(0, y + 0.5);
  for (let x = 0; x < width; x++) ring.push(x + 0.5, height);
  for (let y = height; y > 0; y--) ring.push(width, y - 0.5);
  for (let x = width; x > 0; x--) ring.push(x - 0.5, 0);
  return ring;
}
