/** Masks from a track file, read by HTTP range requests: first head and index, then segments when they are needed. */

import { mattes } from "./mattes.js";
import { countUntil, SLACK_MS } from "./timeline.js";
import { vtt } from "./vtt.js";
import { webmask } from "./webmask.js";

/**
 * The reader of one track format. Its functions throw RangeErrors for data that violates the format.
 *
 * @template Header
 * @typedef {object} Format
 * @property {number} magic the first four bytes, big-endian
 * @property {CompressionFormat | null} compression of the segments
 * @property {(head: DataView) => number} measureHead returns the size of head and index in bytes; needs the first 16 bytes or more
 * @property {(head: DataView, fileBytes: number) => Index<Header>} readIndex
 * @property {(records: DataView, header: Header, start: number) => import("./timeline.js").Mask[]} readMasks reads a decompressed
 *   segment that starts at this time in milliseconds
 */

/** @typedef {{pts: number, offset: number, length: number}} Segment start time in milliseconds, place in the file in bytes */

/**
 * @template Header
 * @typedef {{header: Header, segments: Segment[]}} Index
 */

/** @type {Format<any>[]} */
const FORMATS = [mattes, webmask, vtt];
const FIRST_BYTES = 16_384;
const KEPT_SEGMENTS = 8;
const AHEAD_MS = 5000;
const RETRY_MS = [1500, 60_000]; // first and longest delay before a retry; it doubles after each failure
const SILENCE_MS = 10_000; // a request is aborted after this time without any byte, and retried later
const LAST_MS = 1000; // how long the last mask is shown, or longer if masks are further apart
const MAX_INFLATED = 2 ** 24;
const MAX_PACKED = MAX_INFLATED + 2 ** 16; // data that can't be compressed becomes slightly larger
const MAX_SEGMENTS = 2 ** 16;
const MAX_MASKS = 4096; // per segment
const TEMPORARY = [408, 425, 429]; // HTTP statuses of the client's side after which a retry may succeed

/**
 * Opens a mask track, a source of masks for `attach`.
 *
 * @param {string | URL} url of a file. If its server doesn't support range requests, the whole file is read.
 * @returns {Track}
 */
export function openTrack(url) {
  return new Track(url);
}

/**
 * A mask track as a source of masks. `error` is the last error as text, or empty. Failed requests are retried with growing delays. Data that
 * violates its format (a RangeError) and requests that the server refuses for good (such as a 404) are not retried.
 */
export class Track {
  onchange = () => {};
  error = "";
  #url;
  #closing = new AbortController();
  /** @type {ArrayBuffer | null} the whole file, if the server doesn't support range requests */
  #whole = null;
  #size = Infinity;
  #type = ""; // content type of the last response
  #stamp = ""; // ETag and Last-Modified of the last response, which change when the file is replaced
  #headStamp = ""; // the stamp of the response that the index was read from
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
    /** Resolves once head and index were read, or reading them failed. */
    this.ready = this.#attempt("head", () => this.#open());
  }

  /** Facts about the film that the masks were made for; null if the track has none or isn't loaded yet. */
  get film() {
    return /** @type {import("./film.js").Film | null} */ (this.#index?.header.film ?? null);
  }

  /**
   * The mask for a frame, or null if it isn't loaded or the track has none for this time.
   *
   * @param {number} ms
   */
  at(ms) {
    const masks = this.#loaded.get(this.#findSegment(ms));
    const mask = masks?.[countUntil(masks, ms + SLACK_MS) - 1];
    return mask && this.covers(ms) ? mask : null;
  }

  /**
   * Whether the track may have a mask for a frame: from the first mask until one would be due after the last.
   *
   * @param {number} ms
   */
  covers(ms) {
    const segments = this.#index?.segments;
    if (!segments) return true;
    if (ms + SLACK_MS < segments[0].pts) return false;
    const masks = this.#loaded.get(segments.length - 1);
    if (!masks) return true; // the last mask isn't loaded yet
    const [before, last] = [masks.at(-2) ?? segments.at(-2), masks[masks.length - 1]];
    return ms <= last.pts + Math.max(LAST_MS, last.pts - (before?.pts ?? last.pts));
  }

  /**
   * Loads the segments for this frame and for the seconds after it.
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
   * The number of the segment that contains a frame's mask, 0 before the first segment, -1 without an index.
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
      const masks = await this.#readSegment(format, index, number).catch((error) => this.#checkReplaced(error));
      if (this.#index !== index) return;
      this.#loaded.set(number, masks);
      // Evict the segments that were loaded first, but never one that is needed now.
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
   * Discards the index if the file was replaced since the index was read, so that it is read again. An index younger than the longest retry
   * delay is kept, because several servers behind one address may each send another stamp for the same file.
   *
   * @param {unknown} error that reading a segment failed with
   * @returns {never}
   */
  #checkReplaced(error) {
    if (this.#stamp === this.#headStamp || performance.now() - this.#openedAt < RETRY_MS[1]) throw error;
    this.#index = null;
    this.#loaded.clear();
    throw new Error("the track was replaced by another one");
  }

  /**
   * Runs one task at a time for each name; after a failure, not before the retry delay has passed.
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
      queueMicrotask(() => this.onchange()); // outside of this try block, because its errors are not the track's
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
    this.#failed.clear(); // failures of an earlier index don't count
  }

  /**
   * Requests a range and returns the response with its whole body. Aborts when no byte has arrived for `SILENCE_MS`.
   *
   * @param {string} range
   */
  async #request(range) {
    const request = new AbortController();
    const end = () => request.abort();
    let isSilent = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => ((isSilent = true), end()), SILENCE_MS);
      return true;
    };
    this.#closing.signal.addEventListener("abort", end);
    wait();
    try {
      const response = await fetch(this.#url, { headers: { Range: range }, signal: request.signal });
      if (!response.ok) throw new StatusError(response.status);
      return { response, body: response.body ? await readChunks(response.body, wait) : new ArrayBuffer(0) };
    } catch (error) {
      throw isSilent ? new Error(`expected masks, received nothing for ${SILENCE_MS / 1000} s`) : error;
    } finally {
      clearTimeout(timer);
      this.#closing.signal.removeEventListener("abort", end);
    }
  }

  /**
   * @param {number} offset
   * @param {number} length in bytes; infinite to read up to the end of the file
   */
  async #readBytes(offset, length) {
    if (!this.#whole) {
      const range = `bytes=${offset}-${Number.isFinite(length) ? offset + length - 1 : ""}`;
      const { response, body } = await this.#request(range);
      this.#type = response.headers.get("Content-Type") ?? "";
      this.#stamp = ["ETag", "Last-Modified"].map((name) => response.headers.get(name)).join();
      if (response.status === 206) {
        this.#size = Number(response.headers.get("Content-Range")?.split("/")[1]) || this.#size;
        const expected = Math.min(length, this.#size - offset);
        // Another origin may not expose the file's size. Then a short first response means a short file.
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
 * All chunks of a stream, joined.
 *
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} stream
 * @param {(size: number) => boolean} onchunk called before each chunk with the number of bytes read so far; returns whether to continue
 */
async function readChunks(stream, onchunk) {
  const chunks = [];
  let size = 0;
  // Not every browser supports `for await` on streams.
  const reader = stream.getReader();
  while (onchunk(size)) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.byteLength;
    chunks.push(value);
  }
  return new Blob(chunks).arrayBuffer();
}

/** An HTTP status that isn't a success. `isFinal` tells that a retry would get the same status. */
class StatusError extends Error {
  /** @param {number} status of HTTP */
  constructor(status) {
    super(`expected masks, received ${status}`);
    this.isFinal = status >= 400 && status < 500 && !TEMPORARY.includes(status);
  }
}

/**
 * Throws a RangeError unless the segments are in order, in time and in the file, and don't overlap.
 *
 * @param {Segment[]} segments
 * @param {number} headBytes
 * @param {number} fileBytes infinite if unknown
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
 * Decompresses a segment. Its size is limited, so that a malicious file can't fill the memory.
 *
 * @param {DataView<ArrayBuffer>} packed
 * @param {CompressionFormat} compression
 */
async function inflate(packed, compression) {
  if (!globalThis.DecompressionStream) throw new RangeError("expected a browser with DecompressionStream");
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
