/** Masks made beforehand, read from a file by HTTP ranges: head and index first, then segments as they are needed. */

import { mattes } from "./mattes.js";
import { countUntil, SLACK_MS } from "./timeline.js";
import { vtt } from "./vtt.js";
import { webmask } from "./webmask.js";

/**
 * How a track lies in a file. Its functions throw RangeErrors for what isn't as the format says.
 *
 * @template Header
 * @typedef {object} Format
 * @property {number} magic the first four bytes, big-endian
 * @property {CompressionFormat | null} compression of the segments
 * @property {(head: DataView) => number} measureHead how many bytes head and index have, from the first 16 or more
 * @property {(head: DataView, fileBytes: number) => Index<Header>} readIndex
 * @property {(records: DataView, header: Header, start: number) => import("./timeline.js").Mask[]} readMasks out of an
 *   inflated segment that starts at this time in milliseconds
 */

/** @typedef {{pts: number, offset: number, length: number}} Segment its start in milliseconds, and its place in bytes */

/**
 * @template Header
 * @typedef {{header: Header, segments: Segment[]}} Index
 */

/** @type {Format<any>[]} */
const FORMATS = [mattes, webmask, vtt];
const FIRST_BYTES = 16_384;
const KEPT_SEGMENTS = 8;
const AHEAD_MS = 5000;
const RETRY_MS = [1500, 60_000]; // twice as long each time
const SILENCE_MS = 10_000; // without any byte: the server is given up, for the time being
const LAST_MS = 1000; // how long the last mask stays, unless masks come more seldom
const MAX_INFLATED = 2 ** 24;
const MAX_PACKED = MAX_INFLATED + 2 ** 16; // what can't be compressed grows a little
const MAX_SEGMENTS = 2 ** 16;
const MAX_MASKS = 4096; // in a segment
const TEMPORARY = [408, 425, 429]; // refusals that may be another answer later

/**
 * Opens a mask track, a source of masks for `attach`.
 *
 * @param {string | URL} url of a file on a server that knows ranges; one that doesn't is read whole
 * @returns {Track}
 */
export function openTrack(url) {
  return new Track(url);
}

/**
 * A mask track as a source of masks; `error` is the last one in words, or empty. What failed on the way is tried again, ever more seldom; what the
 * server refuses, or what isn't as its format says, is not: a RangeError, or a status.
 */
export class Track {
  onchange = () => {};
  error = "";
  #url;
  #closing = new AbortController();
  /** @type {ArrayBuffer | null} all of the file, where the server doesn't know ranges */
  #whole = null;
  #size = Infinity;
  #type = ""; // of the last answer, as the server calls it
  #stamp = ""; // of the last answer: which file it is of, as far as the server tells
  #headStamp = ""; // of the one that the index is of
  #openedAt = 0;
  /** @type {Index<any> | null} */
  #index = null;
  /** @type {Format<any> | undefined} */
  #format;
  /** @type {Map<number, import("./timeline.js").Mask[]>} */
  #loaded = new Map();
  /** @type {Set<string | number>} */
  #loading = new Set();
  /** @type {Set<number>} */
  #wanted = new Set();
  /** @type {Map<string | number, {times: number, notBefore: number}>} */
  #failed = new Map();

  /** @param {string | URL} url */
  constructor(url) {
    this.#url = new URL(url, document.baseURI);
    /** When head and index are there, or couldn't be had. */
    this.ready = this.#attempt("head", () => this.#open());
  }

  /** Facts of the film that the masks are for; null where the track doesn't tell, or isn't there yet. */
  get film() {
    return /** @type {import("./film.js").Film | null} */ (this.#index?.header.film ?? null);
  }

  /**
   * The mask for a frame, or null while there is none; before the first one there is none.
   *
   * @param {number} ms
   */
  at(ms) {
    const masks = this.#loaded.get(this.#findSegment(ms));
    const mask = masks?.[countUntil(masks, ms + SLACK_MS) - 1];
    return mask && this.covers(ms) ? mask : null;
  }

  /**
   * Whether there may be a mask for a frame: from the first one until the next after the last one would be due.
   *
   * @param {number} ms
   */
  covers(ms) {
    const segments = this.#index?.segments;
    if (!segments) return true;
    if (ms + SLACK_MS < segments[0].pts) return false;
    const masks = this.#loaded.get(segments.length - 1);
    if (!masks) return true; // nobody knows the last one yet
    const [before, last] = [masks.at(-2) ?? segments.at(-2), masks[masks.length - 1]];
    return ms <= last.pts + Math.max(LAST_MS, last.pts - (before?.pts ?? last.pts));
  }

  /**
   * Loads what this frame and the seconds after it need.
   *
   * @param {number} ms
   * @param {HTMLVideoElement} video
   */
  want(ms, video) {
    if (!this.#index) {
      this.#attempt("head", () => this.#open());
      return;
    }
    const reach = AHEAD_MS * Math.max(1, video.playbackRate);
    this.#wanted.clear();
    for (let number = this.#findSegment(ms); number <= this.#findSegment(ms + reach); number++) this.#wanted.add(number);
    const { duration } = video;
    if (video.loop && ms + reach > duration * 1000) this.#wanted.add(0);
    for (const number of this.#wanted) this.#fetch(number);
  }

  close() {
    this.#closing.abort();
  }

  /**
   * The number of the segment that a frame's mask is in, or of the first one before that; -1 without an index.
   *
   * @param {number} ms
   */
  #findSegment(ms) {
    return this.#index ? Math.max(0, countUntil(this.#index.segments, ms + SLACK_MS) - 1) : -1;
  }

  /** @param {number} number of a segment */
  #fetch(number) {
    const [index, format] = [this.#index, this.#format];
    const segment = index?.segments[number];
    if (!format || !segment || this.#loaded.has(number)) return;
    this.#attempt(number, async () => {
      const masks = await this.#readSegment(format, index, number).catch((error) => this.#judge(error));
      if (this.#index !== index) return;
      this.#loaded.set(number, masks);
      // The segments that came first are dropped, but never one that is wanted now.
      for (const old of this.#loaded.keys()) {
        if (this.#loaded.size > KEPT_SEGMENTS && !this.#wanted.has(old)) this.#loaded.delete(old);
      }
    });
  }

  /** @type {(format: Format<any>, index: Index<any>, number: number) => Promise<import("./timeline.js").Mask[]>} */
  async #readSegment(format, index, number) {
    const segment = index.segments[number];
    const packed = await this.#readBytes(segment.offset, segment.length);
    const records = format.compression ? await inflate(packed, format.compression) : packed;
    const masks = format.readMasks(records, index.header, segment.pts);
    if (masks.length < 1 || masks.length > MAX_MASKS) throw new RangeError(`expected 1 to ${MAX_MASKS} masks in a segment`);
    if (masks[0].pts !== segment.pts) throw new RangeError(`expected a first mask at ${segment.pts} ms, received ${masks[0].pts}`);
    masks.forEach(({ pts }, at) => {
      const next = (masks[at + 1] ?? index.segments[number + 1])?.pts ?? Infinity;
      if (!(pts < next)) throw new RangeError(`expected a mask before ${next} ms, received ${pts}`);
    });
    return masks;
  }

  /**
   * Of a file that was replaced while it is read, head and index are those of another: they are read anew, if they are older than the longest
   * pause. Stamps alone don't tell, as servers behind one address may each have their own.
   *
   * @param {unknown} error of a segment
   * @returns {never}
   */
  #judge(error) {
    if (this.#stamp === this.#headStamp || performance.now() - this.#openedAt < RETRY_MS[1]) throw error;
    this.#index = null;
    this.#loaded.clear();
    throw new Error("the track was replaced by another one");
  }

  /**
   * Does one thing at a time of each name, and not at once again after a failure.
   *
   * @param {string | number} what
   * @param {() => Promise<void>} work
   */
  async #attempt(what, work) {
    const { times, notBefore } = this.#failed.get(what) ?? { times: 0, notBefore: 0 };
    if (this.#loading.has(what) || performance.now() < notBefore || this.#closing.signal.aborted) return;
    this.#loading.add(what);
    try {
      await work();
      this.#failed.delete(what);
      if (!this.#failed.size) this.error = "";
      queueMicrotask(() => this.onchange()); // what goes wrong there isn't the track's fault
    } catch (caught) {
      if (this.#closing.signal.aborted) return;
      const error = /** @type {Error} */ (caught);
      this.error = `${this.#url}: ${error.message}`;
      const isFinal = error instanceof RangeError || (error instanceof StatusError && error.isFinal);
      const pause = Math.min(RETRY_MS[1], RETRY_MS[0] * 2 ** times);
      this.#failed.set(what, { times: times + 1, notBefore: performance.now() + (isFinal ? Infinity : pause) });
      console.warn(`danmatte: ${this.error}`);
    } finally {
      this.#loading.delete(what);
    }
  }

  async #open() {
    let head = await this.#readBytes(0, FIRST_BYTES);
    const format = FORMATS.find(({ magic }) => head.byteLength >= 16 && magic === head.getUint32(0));
    if (!format) throw new RangeError(`expected a mask track, received ${this.#type || "something else"}`);
    const length = format.measureHead(head);
    if (length > this.#size) throw new RangeError(`expected ${length} bytes of index, received a file of ${this.#size}`);
    if (length > head.byteLength) head = await this.#readBytes(0, length);
    const index = format.readIndex(head, this.#size);
    checkIndex(index.segments, length, this.#size);
    [this.#format, this.#index, this.#headStamp, this.#openedAt] = [format, index, this.#stamp, performance.now()];
    this.#failed.clear(); // of an index before this one
  }

  /**
   * What the server answers, whole; one that has been silent for a while isn't waited for.
   *
   * @param {string} range
   */
  async #ask(range) {
    const request = new AbortController();
    const end = () => request.abort();
    let isSilent = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let alarm;
    const wait = () => {
      clearTimeout(alarm);
      alarm = setTimeout(() => ((isSilent = true), end()), SILENCE_MS);
      return true;
    };
    this.#closing.signal.addEventListener("abort", end);
    wait();
    try {
      const answer = await fetch(this.#url, { headers: { Range: range }, signal: request.signal });
      if (!answer.ok) throw new StatusError(answer.status);
      return { answer, body: answer.body ? await readChunks(answer.body, wait) : new ArrayBuffer(0) };
    } catch (error) {
      throw isSilent ? new Error(`expected masks, received nothing for ${SILENCE_MS / 1000} s`) : error;
    } finally {
      clearTimeout(alarm);
      this.#closing.signal.removeEventListener("abort", end);
    }
  }

  /**
   * @param {number} offset
   * @param {number} length infinite for all up to the end
   */
  async #readBytes(offset, length) {
    if (!this.#whole) {
      const range = `bytes=${offset}-${Number.isFinite(length) ? offset + length - 1 : ""}`;
      const { answer, body } = await this.#ask(range);
      this.#type = answer.headers.get("Content-Type") ?? "";
      this.#stamp = ["ETag", "Last-Modified"].map((name) => answer.headers.get(name)).join();
      if (answer.status === 206) {
        this.#size = Number(answer.headers.get("Content-Range")?.split("/")[1]) || this.#size;
        const expected = Math.min(length, this.#size - offset);
        // Another origin may keep its size to itself; then a first answer that is short is a short file's.
        const isShortFile = offset === 0 && this.#size === Infinity && body.byteLength < expected;
        if (Number.isFinite(expected) && body.byteLength !== expected && !isShortFile) {
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

/**
 * All chunks of a stream as one.
 *
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} stream
 * @param {(size: number) => boolean} onchunk called with how many bytes have come so far; whether to go on
 */
async function readChunks(stream, onchunk) {
  const chunks = [];
  let size = 0;
  // A reader, as streams can't be walked through with `for await` in every browser.
  const reader = stream.getReader();
  while (onchunk(size)) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.byteLength;
    chunks.push(value);
  }
  return new Blob(chunks).arrayBuffer();
}

/** What a server answered instead of masks; final where it would answer the same again. */
class StatusError extends Error {
  /** @param {number} status of HTTP */
  constructor(status) {
    super(`expected masks, received ${status}`);
    this.isFinal = status >= 400 && status < 500 && !TEMPORARY.includes(status);
  }
}

/**
 * Throws unless segments follow each other, in time and in the file.
 *
 * @param {Segment[]} segments
 * @param {number} headBytes
 * @param {number} fileBytes infinite while unknown
 */
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

/**
 * Unpacks a segment, up to a limit that honest ones don't reach.
 *
 * @param {DataView<ArrayBuffer>} packed
 * @param {CompressionFormat} compression
 */
async function inflate(packed, compression) {
  if (!globalThis.DecompressionStream) throw new RangeError("expected a browser that unpacks, with DecompressionStream");
  let bytes;
  try {
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream(compression));
    bytes = await readChunks(stream, (size) => size <= MAX_INFLATED);
  } catch (error) {
    throw new RangeError(`expected one whole compressed stream: ${/** @type {Error} */ (error).message}`);
  }
  if (bytes.byteLength > MAX_INFLATED) throw new RangeError(`expected at most ${MAX_INFLATED} bytes in a segment`);
  return new DataView(bytes);
}
