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
const RETRY_MS = [1500, 60_000]; // twice as long each time
const LAST_MS = 1000; // how long the last mask stays, unless masks come more seldom
const MAX_INFLATED = 2 ** 24;
const MAX_PACKED = MAX_INFLATED + 2 ** 16; // what can't be compressed grows a little
const MAX_SEGMENTS = 2 ** 16;
const MAX_MASKS = 4096; // in a segment
const PASSING = [408, 425, 429]; // refusals that may be another answer later

/**
 * @param {string | URL} url of a file on a server that knows ranges; one that doesn't is read whole
 * @returns {Track}
 */
export function openTrack(url) {
  return new Track(url);
}

/**
 * A source of masks; errors are kept in `error`. What failed on the way is tried again, ever more seldom; what the
 * server refuses, or what isn't as its format says, is not: a RangeError, or a status.
 */
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
  /** @type {Map<string | number, {times: number, notBefore: number}>} */
  #failed = new Map();

  constructor(url) {
    this.#url = new URL(url, document.baseURI);
    /** When head and index are there, or couldn't be had. */
    this.ready = this.#attempt("head", () => this.#open());
  }

  at(ms) {
    const number = this.#number(ms);
    const masks = this.#loaded.get(number);
    if (!masks) return null;
    const at = Math.max(0, countUntil(masks, ms + SLACK_MS) - 1);
    const { segments } = this.#index;
    const last = number === segments.length - 1 && at === masks.length - 1;
    return last && ms > ends(masks[at].pts, (masks[at - 1] ?? segments[number - 1])?.pts) ? null : masks[at];
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
      const masks = this.#format.masks(records, this.#index.header, segment.pts);
      checkMasks(masks, segment.pts, this.#index.segments[number + 1]?.pts ?? Infinity);
      this.#loaded.set(number, masks);
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
    const before = this.#failed.get(what);
    if (this.#loading.has(what) || performance.now() < (before?.notBefore ?? 0) || this.#leaving.signal.aborted) return;
    this.#loading.add(what);
    try {
      await work();
      this.#failed.delete(what);
      if (!this.#failed.size) this.error = "";
    } catch (error) {
      if (this.#leaving.signal.aborted) return;
      this.error = `${this.#url}: ${error.message}`;
      this.#failed.set(what, again(before?.times ?? 0, error));
      console.warn(`danmatte: ${this.error}`);
    } finally {
      this.#loading.delete(what);
    }
  }

  async #open() {
    let head = await this.#bytes(0, FIRST_BYTES);
    this.#format = FORMATS.find(({ magic }) => head.byteLength >= 16 && magic === head.getUint32(0));
    if (!this.#format) throw new RangeError("expected a mask track");
    const length = this.#format.headBytes(head);
    if (length > this.#size) throw new RangeError(`expected ${length} bytes of index, received a file of ${this.#size}`);
    if (length > head.byteLength) head = await this.#bytes(0, length);
    const index = this.#format.index(head, this.#size);
    checkIndex(index.segments, length, this.#size);
    this.#index = index;
    this.onchange();
  }

  async #bytes(offset, length) {
    if (!this.#whole) {
      const range = `bytes=${offset}-${Number.isFinite(length) ? offset + length - 1 : ""}`;
      const answer = await fetch(this.#url, { headers: { Range: range }, signal: this.#leaving.signal });
      if (!answer.ok) throw Object.assign(new Error(`expected masks, received ${answer.status}`), { status: answer.status });
      const body = await answer.arrayBuffer();
      if (answer.status === 206) {
        this.#size = Number(answer.headers.get("Content-Range")?.split("/")[1]) || this.#size;
        const expected = Math.min(length, this.#size - offset);
        if (Number.isFinite(expected) && body.byteLength !== expected) {
          throw new Error(`expected ${expected} bytes, received ${body.byteLength}`);
        }
        return new DataView(body);
      }
      [this.#whole, this.#size] = [body, body.byteLength];
    }
    const end = Math.min(this.#size, offset + length);
    return new DataView(this.#whole, Math.min(offset, this.#size), Math.max(0, end - offset));
  }
}

/** When something that failed is tried again: never, where the answer would be the same. */
function again(times, error) {
  const lasting = error instanceof RangeError || (error.status >= 400 && error.status < 500 && !PASSING.includes(error.status));
  const [least, most] = RETRY_MS;
  const pause = lasting ? Infinity : Math.min(most, least * 2 ** times);
  return { times: times + 1, notBefore: performance.now() + pause };
}

/** Until when a track's last mask is shown. */
function ends(last, before = last) {
  return last + Math.max(LAST_MS, last - before);
}

/** Throws unless segments follow each other, in time and in the file. */
function checkIndex(segments, headBytes, fileBytes) {
  if (segments.length < 1 || segments.length > MAX_SEGMENTS) throw new RangeError(`expected 1 to ${MAX_SEGMENTS} segments`);
  let [pts, end] = [-1, headBytes];
  for (const segment of segments) {
    const { offset, length } = segment;
    if (segment.pts <= pts || !Number.isSafeInteger(segment.pts)) throw new RangeError(`expected a start after ${pts} ms`);
    if (offset < end || length < 1 || (length > MAX_PACKED && Number.isFinite(length))) {
      throw new RangeError(`expected up to ${MAX_PACKED} bytes from ${end} on, received ${length} from ${offset} on`);
    }
    [pts, end] = [segment.pts, offset + length];
  }
  if (end > fileBytes) throw new RangeError(`expected a file of ${end} bytes, received ${fileBytes}`);
}

/** Throws unless masks begin where their segment does, and follow each other up to the next one. */
function checkMasks(masks, start, end) {
  if (masks.length < 1 || masks.length > MAX_MASKS) throw new RangeError(`expected 1 to ${MAX_MASKS} masks in a segment`);
  if (masks[0].pts !== start) throw new RangeError(`expected a first mask at ${start} ms, received ${masks[0].pts}`);
  for (let at = 0; at < masks.length; at++) {
    const next = masks[at + 1]?.pts ?? end;
    if (!(masks[at].pts < next)) throw new RangeError(`expected a mask before ${next} ms, received ${masks[at].pts}`);
  }
}

/** Unpacked, up to a limit that honest segments don't reach. */
async function inflated(packed, compression) {
  const chunks = [];
  let size = 0;
  try {
    for await (const chunk of pieces(new Blob([packed]).stream().pipeThrough(new DecompressionStream(compression)))) {
      size += chunk.byteLength;
      if (size > MAX_INFLATED) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw new RangeError(`expected one whole compressed stream: ${error.message}`);
  }
  if (size > MAX_INFLATED) throw new RangeError(`expected at most ${MAX_INFLATED} bytes in a segment`);
  return new DataView(await new Blob(chunks).arrayBuffer());
}

/** Streams can't be walked through with `for await` everywhere. */
async function* pieces(stream) {
  const reader = stream.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}
