/** The track format `.vtt`: a WebVTT metadata track with one cue of JSON for each mask. Each cue can be read without the others. */

import { readFilm, readOutlines } from "./mattes.js";

/**
 * @typedef {object} VttHeader
 * @property {number} width of the masks in pixels
 * @property {number} height
 * @property {import("./film.js").Film | null} film that the masks were made for
 */

const FIRST_LINE = /^WEBVTT danmatte\/1 head=(\d{8})\n\nNOTE\n/;
const FIRST_LINE_BYTES = 38;
const MAX_HEAD_BYTES = 2 ** 22;
const MAX_PIXELS = 2 ** 22;
const TIMES = /^(\d{2,10}):([0-5]\d):([0-5]\d)\.(\d{3}) --> /;

/** @type {import("./track.js").Format<VttHeader>} */
export const vtt = {
  magic: 0x57454256, // "WEBV"
  compression: null,

  measureHead(head) {
    const found = FIRST_LINE.exec(readText(head, 0, Math.min(FIRST_LINE_BYTES, head.byteLength)));
    const bytes = Number(found?.[1]);
    if (!(bytes > FIRST_LINE_BYTES && bytes <= MAX_HEAD_BYTES)) throw new RangeError("expected the first lines of a danmatte track");
    return bytes;
  },

  readIndex(head) {
    const end = vtt.measureHead(head);
    const { width, height, segments, film = null } = parse(readText(head, FIRST_LINE_BYTES, end), "the head");
    checkSize(width, height);
    if (!Array.isArray(segments)) throw new RangeError("expected segments in the head");
    let offset = end;
    const places = segments.map(([pts, length]) => {
      offset += length;
      return { pts, offset: offset - length, length };
    });
    return { header: { width, height, film: film && readFilm(JSON.stringify(film)) }, segments: places };
  },

  readMasks(records, header) {
    const blocks = readText(records, 0, records.byteLength).split("\n\n");
    if (blocks.pop()) throw new RangeError("expected an empty line after the last cue");
    return blocks.map((block) => {
      const mask = readCue(block);
      const { width, height } = mask.shape;
      if (width !== header.width || height !== header.height) {
        throw new RangeError(`expected masks of ${header.width}×${header.height}, received ${width}×${height}`);
      }
      return mask;
    });
  },
};

/**
 * The mask of one cue, from its times and its payload. Throws a RangeError if the cue is invalid.
 *
 * @param {string} block
 * @returns {import("./timeline.js").Mask & {shape: import("./outline.js").Shape}}
 */
export function readCue(block) {
  const [line, payload = ""] = block.split("\n");
  const found = TIMES.exec(line);
  if (!found) throw new RangeError(`expected a cue's times, received ${line.slice(0, 80)}`);
  const [hours, minutes, seconds, rest] = found.slice(1).map(Number);
  return { pts: 1000 * (60 * (60 * hours + minutes) + seconds) + rest, ...readPayload(payload) };
}

/**
 * The mask in a cue's payload. Throws a RangeError if the payload is invalid.
 *
 * @param {string} payload
 * @returns {{cut: boolean, held: boolean, coverage: number, shape: import("./outline.js").Shape}}
 */
export function readPayload(payload) {
  const { width, height, mask, polarity = "person", coverage = 0, cut = false, held = false } = parse(payload, "a cue");
  checkSize(width, height);
  const shape = readOutlines(decode(mask), { width, height, background: polarity === "background" });
  return { cut: cut === true, held: held === true, coverage: Number(coverage) || 0, shape };
}

/** @type {(width: unknown, height: unknown) => void} */
function checkSize(width, height) {
  const pixels = Number.isSafeInteger(width) && Number.isSafeInteger(height) ? Number(width) * Number(height) : 0;
  if (Number(width) < 1 || pixels < 1 || pixels > MAX_PIXELS) throw new RangeError(`expected 1 to ${MAX_PIXELS} pixels, received ${width}×${height}`);
}

/** @type {(text: string, what: string) => any} */
function parse(text, what) {
  try {
    const found = JSON.parse(text);
    if (found && typeof found === "object") return found;
  } catch {
    // reported below
  }
  throw new RangeError(`expected ${what} as JSON, received ${text.slice(0, 80)}`);
}

/** @type {(mask: unknown) => DataView} */
function decode(mask) {
  try {
    if (typeof mask !== "string") throw new TypeError("no text");
    const bytes = Uint8Array.from(atob(mask), (letter) => letter.charCodeAt(0));
    return new DataView(bytes.buffer);
  } catch {
    throw new RangeError("expected a cue's mask in base64");
  }
}

/** @type {(view: DataView, start: number, end: number) => string} */
function readText(view, start, end) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(view.buffer, view.byteOffset + start, end - start));
  } catch {
    throw new RangeError("expected UTF-8");
  }
}
