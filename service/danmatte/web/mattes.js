/** danmatte's own track format `.mattes`: deflated outlines along pixel edges. `service/danmatte/tracks/FORMAT.md` describes every byte. */

import { Shape } from "./outline.js";

/**
 * @typedef {object} MattesHeader
 * @property {boolean} background whether the outlines surround the background instead of the person
 * @property {number} width of the masks in pixels
 * @property {number} height
 * @property {string} model that made them
 * @property {import("./film.js").Film | null} film that the masks were made for; null in version 1
 */

const HEAD_BYTES = 20;
const FILM_LENGTH_BYTES = 2;
const WITH_FILM = 2; // the version whose head also has the film's facts
const PLACE_BYTES = 20;
const MAX_MASKS = 4096;
const MAX_PIXELS = 2 ** 22;
const MAX_NAME_BYTES = 255;
const MAX_VARINT_BYTES = 5;
const TURN_BYTES = 243; // 3 ** 5: a byte holds five turns of three kinds
const [CUT, HELD, SAME, ALL] = [2, 4, 8, 15];

/** @type {import("./track.js").Format<MattesHeader>} */
export const mattes = {
  magic: 0x4d415454, // "MATT"
  compression: "deflate",

  measureHead: (head) => findFilm(head).end + PLACE_BYTES * head.getUint32(16),

  readIndex(head) {
    const [polarity, nameBytes, width, height] = [head.getUint8(5), ...[6, 8, 10].map((at) => head.getUint16(at))];
    const version = head.getUint8(4);
    if (version < 1 || version > WITH_FILM || polarity > 1 || nameBytes > MAX_NAME_BYTES) {
      throw new RangeError("expected .mattes version 1 or 2 with a polarity of 0 or 1 and a model's name");
    }
    const pixels = width * height;
    if (pixels < 1 || pixels > MAX_PIXELS) throw new RangeError(`expected 1 to ${MAX_PIXELS} pixels, received ${pixels}`);
    const { name, start, end } = findFilm(head);
    const model = readText(head, name, start, "the model's name");
    const film = version === WITH_FILM ? readFilm(readText(head, start, end, "the film's facts")) : null;
    const header = { background: polarity === 1, width, height, model, film };
    const segments = Array.from({ length: head.getUint32(16) }, (_, number) => {
      const at = end + PLACE_BYTES * number;
      return {
        pts: Number(head.getBigUint64(at)),
        offset: Number(head.getBigUint64(at + 8)),
        length: head.getUint32(at + 16),
      };
    });
    return { header, segments };
  },

  readMasks(records, header, start) {
    const reader = new RecordReader(records, header);
    /** @type {import("./timeline.js").Mask[]} */
    const masks = [];
    for (let pts = start; !reader.ended; ) {
      if (masks.length === MAX_MASKS) throw new RangeError(`expected at most ${MAX_MASKS} masks in a segment`);
      pts += reader.readVarint();
      const flags = reader.readByte();
      const coverage = reader.readByte() / 255;
      const before = masks.at(-1)?.shape;
      if (flags > ALL || (flags & SAME && !before)) throw new RangeError(`expected known flags, received ${flags}`);
      const shape = flags & SAME && before ? before : reader.readShape();
      masks.push({ pts, cut: (flags & CUT) !== 0, held: (flags & HELD) !== 0, coverage, shape });
    }
    return masks;
  },
};

/**
 * The offsets at which the model's name, the film's facts (`start`) and the index after them (`end`) begin.
 *
 * @param {DataView} head
 */
function findFilm(head) {
  const hasFilm = head.getUint8(4) === WITH_FILM;
  const name = HEAD_BYTES + (hasFilm ? FILM_LENGTH_BYTES : 0);
  const start = name + head.getUint16(6);
  return { name, start, end: start + (hasFilm ? head.getUint16(HEAD_BYTES) : 0) };
}

/** @type {(head: DataView, start: number, end: number, what: string) => string} */
function readText(head, start, end, what) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(head.buffer, head.byteOffset + start, end - start));
  } catch {
    throw new RangeError(`expected ${what} in UTF-8`);
  }
}

/**
 * The film's facts from their JSON. Only the facts that are used here are checked.
 *
 * @param {string} text
 * @returns {import("./film.js").Film}
 */
export function readFilm(text) {
  let film;
  try {
    film = JSON.parse(text);
  } catch {
    throw new RangeError("expected the film's facts as JSON");
  }
  const numbers = ["width", "height", "first_ms", "end_ms", "coded_ms", "origin_ms"];
  const missing = numbers.find((name) => !Number.isSafeInteger(film?.[name]));
  if (missing || film.width < 1 || film.height < 1) throw new RangeError(`expected the film's ${missing ?? "size"}`);
  if (!Number.isSafeInteger(film.file_end_ms ?? 0)) throw new RangeError("expected the file's end in milliseconds");
  if (!Array.isArray(film.orientation ?? [])) throw new RangeError("expected the film's orientation as a list");
  return film;
}

/**
 * One independent mask, encoded like the first one of a segment; no bytes mean an empty mask.
 *
 * @param {DataView} bytes
 * @param {{width: number, height: number, background: boolean}} header
 * @returns {Shape}
 */
export function readOutlines(bytes, header) {
  const view = bytes.byteLength ? bytes : new DataView(new ArrayBuffer(1));
  const reader = new RecordReader(view, header);
  const shape = reader.readShape();
  if (!reader.ended) throw new RangeError("expected nothing after the last turn");
  return shape;
}

/** A reader of a decompressed segment, from its start to its end. Reading past the end throws the RangeError of DataView. */
class RecordReader {
  /** @type {DataView} */
  #view;
  /** @type {Pick<MattesHeader, "width" | "height" | "background">} */
  #header;
  #at = 0;
  /** @type {[number, number][]} first corners of the outlines of the mask before */
  #corners = [];

  /**
   * @param {DataView} view
   * @param {Pick<MattesHeader, "width" | "height" | "background">} header
   */
  constructor(view, header) {
    [this.#view, this.#header] = [view, header];
  }

  get ended() {
    return this.#at >= this.#view.byteLength;
  }

  readByte() {
    return this.#view.getUint8(this.#at++);
  }

  /** An unsigned number with seven bits in each byte, the lowest bits first. */
  readVarint() {
    let value = 0;
    for (let weight = 1; weight < 128 ** MAX_VARINT_BYTES; weight *= 128) {
      const byte = this.readByte();
      value += (byte & 127) * weight;
      if (byte < 128) return value;
    }
    throw new RangeError(`expected a number of at most ${MAX_VARINT_BYTES} bytes`);
  }

  /** Walks the outlines now, to find the next record, and once more when the mask is first shown. */
  readShape() {
    const corners = this.#readCorners();
    const [view, start, { width, height, background }] = [this.#view, this.#at, this.#header];
    this.#at = walkOutlines(view, start, corners, this.#header, () => {});
    return new Shape(width, height, () => {
      /** @type {number[][]} */
      const rings = corners.map(() => []);
      walkOutlines(view, start, corners, this.#header, (ring, x, y) => rings[ring].push(x, y));
      if (!background) return rings;
      // A point is outside if an even number of rings surrounds it, so one more ring around the picture inverts the mask.
      /** @type {number[]} */
      const frame = [];
      for (let y = 0; y < height; y++) frame.push(0, y + 0.5);
      for (let x = 0; x < width; x++) frame.push(x + 0.5, height);
      for (let y = height; y > 0; y--) frame.push(width, y - 0.5);
      for (let x = width; x > 0; x--) frame.push(x - 0.5, 0);
      return [...rings, frame];
    });
  }

  /** The first corners of the mask's outlines, which are stored as differences from those of the mask before. */
  #readCorners() {
    const [{ width, height }, before] = [this.#header, this.#corners];
    const count = this.readVarint();
    if (count > width * height) throw new RangeError(`expected at most ${width * height} outlines, received ${count}`);
    this.#corners = [];
    for (let number = 0; number < count; number++) {
      const [x, y] = [0, 1].map((axis) => {
        const value = this.readVarint(); // signed numbers are interleaved: 0, -1, 1, -2, …
        return (before[number]?.[axis] ?? 0) + (value % 2 ? -(value + 1) / 2 : value / 2);
      });
      if (!(x >= 0 && x < width && y >= 0 && y < height)) {
        throw new RangeError(`expected a corner in the picture, received ${x}, ${y}`);
      }
      this.#corners.push([x, y]);
    }
    return this.#corners;
  }
}

/**
 * Walks all outlines from their first corners. Returns the offset after the last turn.
 *
 * @param {DataView} view
 * @param {number} start offset of the turns
 * @param {[number, number][]} corners
 * @param {{width: number, height: number}} size of the picture
 * @param {(ring: number, x: number, y: number) => void} onstep called with the middle of every step
 */
function walkOutlines(view, start, corners, { width, height }, onstep) {
  let [at, turns, left] = [start, 0, 0];
  let crossings = height * (width + 1); // valid outlines use each vertical pixel edge at most once
  corners.forEach(([x0, y0], ring) => {
    let [x, y, dx, dy, side] = [x0, y0, 1, 0, -1];
    for (;;) {
      onstep(ring, x + dx / 2, y + dy / 2);
      if (dy && --crossings < 0) throw new RangeError("outlines cross the picture's rows too often");
      x += dx;
      y += dy;
      if (x < 0 || y < 0 || x > width || y > height) throw new RangeError("an outline leaves the picture");
      if (x === x0 && y === y0) break;
      // A byte holds five turns: 0 is straight on, 1 turns to the other side than the last turn, 2 to the same side.
      if (!left) [turns, left] = [view.getUint8(at++), 5];
      if (turns >= TURN_BYTES) throw new RangeError(`expected a byte of turns below ${TURN_BYTES}, received ${turns}`);
      const turn = turns % 3;
      [turns, left] = [(turns - turn) / 3, left - 1];
      if (turn === 1) side = -side;
      if (turn) [dx, dy] = side > 0 ? [-dy, dx] : [dy, -dx];
    }
  });
  return at;
}
