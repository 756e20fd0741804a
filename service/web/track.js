/** Masks made beforehand, read from a file by HTTP ranges: head and index first, then segments as they are needed. */

import { mattes } from "./mattes.js";
import { countUntil, SLACK_MS } from "./timeline.js";
import { webmask } from "./webmask.js";

/**
 * How a track lies in a file.
 *
 * @typedef {object} Format
 * @property {number} magic the first four bytes, big-endian
 * @property {CompressionFormat} compression of the segments
 * @property {(head: DataView) => number} headBytes how long head and index are, from the first bytes
 * @property {(head: DataView, fileBytes: number) => Index} index
 * @property {(records: DataView, header: object, start: number) => import("./timeline.js").Mask[]} masks
 */

/**
 * @typedef {{header: object, segments: {pts: number, offset: number, length: number}[]}} Index
 */

/** @type {Format[]} */
const FORMATS = [mattes, webmask];
const FIRST_BYTES = 16_384;
const KEPT_SEGMENTS = 8;
const AHEAD_MS = 5000;
const RETRY_MS = 1500;
const MAX_INFLATED = 2 ** 24;

/**
 * @param {string | URL} url of a file on a server that knows ranges; one that doesn't is read whole
 * @returns {Track}
 */
export function openTrack(url) {
  return new Track(url);
}

/** A source of masks; errors are kept in `error` and what failed is tried again. */
export class Track {
  onchange = () => {};
  error = "";
  #url;
  #leaving = new AbortController();
  #whole = null;
  #size = Infinity;
  #index = null;
  #format = null;
  /** @type {Map<number, import("./timeline.js").Mask[]>} */
  #loaded = new Map();
  #loading = new Set();
  #wanted = new Set();
  #notBefore = 0;

  constructor(url) {
    this.#url = new URL(url, document.baseURI);
    /** When head and index are there, or couldn't be had. */
    this.ready = this.#attempt("head", () => this.#open());
  }

  at(ms) {
    const number = this.#number(ms);
    const masks = this.#loaded.get(number);
    return masks?.[Math.max(0, countUntil(masks, ms + SLACK_MS) - 1)] ?? null;
  }

  want(ms, video) {
    if (!this.#index) {
      this.#attempt("head", () => this.#open());
      return;
    }
    const reach = AHEAD_MS * Math.max(1, video.playbackRate);
    this.#wanted.clear();
    for (let number = this.#number(ms); number <= this.#number(ms + reach); number++) this.#wanted.add(number);
    const { duration } = video;
    if (video.loop && ms + reach > duration * 1000) this.#wanted.add(0);
    for (const number of this.#wanted) this.#fetch(number);
  }

  close() {
    this.#leaving.abort();
  }

  /** Before the first mask it is the first one's: browsers show the first frame until its time has come. */
  #number(ms) {
    return this.#index ? Math.max(0, countUntil(this.#index.segments, ms + SLACK_MS) - 1) : -1;
  }

  #fetch(number) {
    const segment = this.#index.segments[number];
    if (!segment || this.#loaded.has(number)) return;
    this.#attempt(number, async () => {
      const packed = await this.#bytes(segment.offset, segment.length);
      const records = await inflated(packed, this.#format.compression);
      this.#loaded.set(number, this.#format.masks(records, this.#index.header, segment.pts));
      this.#forget();
      this.onchange();
    });
  }

  /** Lets go of the segments that came first, but never of one that is wanted now. */
  #forget() {
    for (const number of this.#loaded.keys()) {
      if (this.#loaded.size > KEPT_SEGMENTS && !this.#wanted.has(number)) this.#loaded.delete(number);
    }
  }

  /** One at a time for each thing, and not at once again after a failure. */
  async #attempt(what, work) {
    if (this.#loading.has(what) || performance.now() < this.#notBefore || this.#leaving.signal.aborted) return;
    this.#loading.add(what);
    try {
      await work();
      this.error = "";
    } catch (error) {
      if (this.#leaving.signal.aborted) return;
      this.error = `${this.#url}: ${error.message}`;
      this.#notBefore = performance.now() + RETRY_MS;
      console.warn(`danmatte: ${this.error}`);
    } finally {
      this.#loading.delete(what);
    }
  }

  async #open() {
    let head = await this.#bytes(0, FIRST_BYTES);
    this.#format = FORMATS.find(({ magic }) => head.byteLength >= 16 && magic === head.getUint32(0));
    if (!this.#format) throw new TypeError("expected a mask track");
    const length = this.#format.headBytes(head);
    if (length > head.byteLength) head = await this.#bytes(0, length);
    if (length > head.byteLength) throw new RangeError(`expected ${length} bytes of index, received ${head.byteLength}`);
    this.#index = this.#format.index(head, this.#size);
    this.onchange();
  }

  async #bytes(offset, length) {
    if (!this.#whole) {
      const range = `bytes=${offset}-${Number.isFinite(length) ? offset + length - 1 : ""}`;
      const answer = await fetch(this.#url, { headers: { Range: range }, signal: this.#leaving.signal });
      if (!answer.ok) throw new Error(`expected masks, received ${answer.status}`);
      const body = await answer.arrayBuffer();
      if (answer.status === 206) {
        this.#size = Number(answer.headers.get("Content-Range")?.split("/")[1]) || this.#size;
        return new DataView(body);
      }
      [this.#whole, this.#size] = [body, body.byteLength];
    }
    const end = Math.min(this.#size, offset + length);
    return new DataView(this.#whole, Math.min(offset, this.#size), Math.max(0, end - offset));
  }
}

/** Unpacked, up to a limit that honest segments don't reach. */
async function inflated(packed, compression) {
  const chunks = [];
  let size = 0;
  for await (const chunk of pieces(new Blob([packed]).stream().pipeThrough(new DecompressionStream(compression)))) {
    size += chunk.byteLength;
    if (size > MAX_INFLATED) throw new RangeError(`expected at most ${MAX_INFLATED} bytes in a segment`);
    chunks.push(chunk);
  }
  return new DataView(await new Blob(chunks).arrayBuffer());
}

/** Streams can't be walked through with `for await` everywhere. */
async function* pieces(stream) {
  const reader = stream.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}
