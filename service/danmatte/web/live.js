/** Masks from a service's `/v1/stream`, made while the video plays. `service/danmatte/messages.py` describes its messages. */

import { CutDetector } from "./cuts.js";
import { startLookAhead } from "./look-ahead.js";
import { roundRings, traceRings } from "./outline.js";
import { Timeline } from "./timeline.js";

/**
 * @typedef {object} LiveOptions
 * @property {string | URL | (() => string | URL)} [url] of the stream; unless given, on the server that this module was loaded from. A function
 *   is called before every connection, because a token in the address is valid only for a short time
 * @property {string} [region] what the masks show, such as `person,text`, if the server's models find it; the default model's own region unless given
 * @property {number} [width] of the masks in pixels; their height follows from the video's aspect ratio
 * @property {number} [frameWidth] of the frames that are sent, in pixels
 * @property {number} [patienceMs] maximum age of a mask compared with the frame that it is shown on
 * @property {number} [ahead] seconds by which a hidden copy of the video runs ahead of it, so that masks arrive in
 *   time; only for videos with an address, not for cameras
 */

const DEFAULTS = { region: "", width: 320, frameWidth: 512, patienceMs: 350, ahead: 0 };
const MAGIC = 0x314c4d44; // "DML1", little-endian
const OFFER_BYTES = 20;
const ANSWER_BYTES = 56;
const MAX_PENDING = 2; // frames that were sent and not answered yet
const BACKOFF_MS = [250, 15_000]; // first and longest delay before a reconnect; it doubles after each failure
const NEAR_MS = 4; // a frame isn't sent if the newest mask is at most this far from it
const NEAR_AHEAD_MS = 100; // the same with a hidden copy, which has sent the frame or is about to
const RING_BYTES = 200; // memory of the objects around a ring's points
const [IDLE, BROKEN] = [1000, 1006]; // close codes: closed by the server after a long time without frames; connection lost
const SILENCE_MS = [2500, 10_000]; // without any answer: an error is reported; the connection is closed
const UNREADABLE = "the video may not be read: expected one from this origin, or crossorigin with CORS";

/**
 * Creates a source of live masks for `attach`. It connects when the first frame is shown.
 *
 * @param {string | URL | true | LiveOptions} where an address, options, or true for the server that this module was loaded from
 * @param {string} [region] as in the options
 * @returns {Live}
 */
export function openLive(where, region = "") {
  const options = where === true ? {} : typeof where === "string" || where instanceof URL ? { url: where } : where;
  return new Live({ ...DEFAULTS, ...(region ? { region } : {}), ...options });
}

/** A connection to a service as a source of masks. Frames are sent while the video shows them. */
export class Live {
  onchange = () => {};
  /** Totals since it was opened: frames sent, masks received, frames skipped by the server, errors, connections opened. */
  counts = { sent: 0, masks: 0, skipped: 0, errors: 0, connections: 0 };
  /** Milliseconds from sending a frame to receiving its answer, for the newest answer. */
  roundTrip = 0;
  /** The reason why there are no masks, as text; empty once one has arrived. */
  error = "";
  /** @type {typeof DEFAULTS & LiveOptions} */
  #options;
  #timeline = new Timeline();
  #cuts = new CutDetector();
  #canvas = document.createElement("canvas");
  /** @type {WebSocket | null} */
  #socket = null;
  #query = ""; // query string that the socket was opened with
  /** @type {Map<number, number>} frames that were not answered yet: their pts, and when they were sent */
  #pending = new Map();
  #encoding = false;
  #failures = 0;
  #retryAt = 0;
  #closed = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #silenceTimer; // set while an answer is awaited
  /** @type {{stop: () => void} | null} */
  #lookAhead = null;
  /** @type {MediaProvider | string} */
  #film = "";
  /** @type {MediaProvider | string | null} the film whose pixels the browser doesn't let the page read */
  #unreadable = null;
  /** @type {MediaProvider | string | null} the film that can't be opened twice, so that no hidden copy can run ahead */
  #single = null;

  /** @param {typeof DEFAULTS & LiveOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * The mask for a frame, or null if there is none, or only one that is too old or from before a cut.
   *
   * @param {number} ms
   */
  at(ms) {
    const mask = this.#timeline.find(ms);
    if (!mask || ms - mask.pts > this.#options.patienceMs) return null;
    return this.#cuts.hasCut(mask.pts, ms) ? null : mask;
  }

  /**
   * Sends the frame that the video shows, unless its mask is already known.
   *
   * @param {number} ms
   * @param {HTMLVideoElement} video
   */
  want(ms, video) {
    const film = video.srcObject ?? video.currentSrc;
    if (this.#film && film !== this.#film) this.#reset();
    this.#film = film;
    if (!this.#readFrame(video, ms)) return;
    if (this.#options.ahead && !this.#lookAhead && video.currentSrc && film !== this.#single) this.#runAhead(video, film);
    const newest = this.#timeline.find(ms);
    const near = this.#lookAhead ? NEAR_AHEAD_MS : NEAR_MS;
    if (!newest || Math.abs(ms - newest.pts) > near) this.#offer(ms, video);
  }

  /**
   * Starts a hidden copy that runs ahead. If the film can't be opened twice, frames of the video itself are sent instead.
   *
   * @param {HTMLVideoElement} video
   * @param {MediaProvider | string} film
   */
  #runAhead(video, film) {
    const fail = () => {
      this.#lookAhead?.stop();
      [this.#lookAhead, this.#single] = [null, film];
      console.warn("danmatte: this film can't be opened twice, so no hidden copy runs ahead; its masks are late by one round trip");
    };
    this.#lookAhead = startLookAhead(video, this.#options.ahead, (soon, copy) => this.#offer(soon, copy), fail);
  }

  close() {
    this.#closed = true;
    this.rest();
  }

  /** Closes the connection and stops the hidden copy, until the next call of `want`. */
  rest() {
    this.#reset();
    this.#film = "";
  }

  /** Discards masks, cuts and connection, because the times of another film mean other frames. */
  #reset() {
    this.#lookAhead?.stop();
    this.#socket?.close();
    this.#watchSilence(false);
    [this.#timeline, this.#cuts, this.#lookAhead, this.#socket] = [new Timeline(), new CutDetector(), null, null];
    this.#pending.clear();
  }

  /**
   * Compares the frame with the one before to detect a cut. Returns whether the frame could be read; an unreadable film is tried only once.
   *
   * @param {HTMLVideoElement} video
   * @param {number} ms
   */
  #readFrame(video, ms) {
    if (this.#unreadable === this.#film) return false;
    try {
      this.#cuts.addFrame(video, ms);
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "SecurityError") throw error;
      [this.#unreadable, this.error] = [this.#film, UNREADABLE];
      console.warn(`danmatte: ${UNREADABLE}`);
      return false;
    }
    return true;
  }

  /**
   * Sends the frame, unless too many frames are pending or its mask is known.
   *
   * @param {number} ms
   * @param {HTMLVideoElement} video
   */
  #offer(ms, video) {
    if (this.#closed || this.#encoding || this.#pending.size >= MAX_PENDING || this.#pending.has(ms)) return;
    if (this.#timeline.find(ms)?.pts === ms) return;
    const socket = this.#ensureSocket(video);
    if (socket?.readyState !== WebSocket.OPEN) return;
    this.#encoding = true;
    this.#canvas.width = Math.min(this.#options.frameWidth, video.videoWidth);
    this.#canvas.height = Math.max(1, Math.round((this.#canvas.width * video.videoHeight) / video.videoWidth));
    const context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
    context.drawImage(video, 0, 0, this.#canvas.width, this.#canvas.height);
    this.#canvas.toBlob((picture) => this.#send(socket, ms, picture), "image/jpeg", 0.8);
  }

  /**
   * @param {WebSocket} socket that was open when the frame was captured
   * @param {number} ms
   * @param {Blob | null} picture
   */
  #send(socket, ms, picture) {
    this.#encoding = false;
    if (!picture || socket.readyState !== WebSocket.OPEN) return;
    const header = new DataView(new ArrayBuffer(OFFER_BYTES));
    header.setUint32(0, MAGIC, true);
    header.setUint8(4, 1);
    header.setFloat64(8, ms, true);
    this.#pending.set(ms, performance.now());
    this.counts.sent += 1;
    if (this.#silenceTimer === undefined) this.#watchSilence(true);
    socket.send(new Blob([header, picture]));
  }

  /**
   * The socket for masks of this video's aspect ratio. Opens one unless a retry delay is running; null if there is none.
   *
   * @param {HTMLVideoElement} video
   */
  #ensureSocket(video) {
    if (!video.videoWidth) return null;
    const { width, region } = this.#options;
    const height = Math.max(1, Math.round((width * video.videoHeight) / video.videoWidth));
    // With `region`, the server uses the threshold of each region.
    const wanted = region ? `region=${encodeURIComponent(region)}` : "threshold=0.5";
    const query = `width=${width}&height=${height}&format=png&${wanted}`;
    if (this.#socket && query !== this.#query) this.#socket.close();
    if (!this.#socket && performance.now() >= this.#retryAt) this.#connect(query);
    return this.#socket;
  }

  /**
   * A new connection. If the address is invalid or this page may not open it, reports an error and returns null.
   *
   * @param {string} query
   */
  #openSocket(query) {
    const { url: given } = this.#options;
    let where;
    try {
      where = typeof given === "function" ? given() : given;
      const url = findStream(where);
      url.search = `${url.search ? `${url.search}&` : "?"}${query}`;
      return new WebSocket(url);
    } catch (error) {
      this.#lose(`${where ?? "live"}: expected the address of a stream: ${/** @type {Error} */ (error).message}`);
      return null;
    }
  }

  /** @param {string} query */
  #connect(query) {
    const socket = this.#openSocket(query);
    if (!socket) return;
    const { host } = new URL(socket.url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (this.#socket !== socket) return;
      this.counts.connections += 1;
      this.#watchSilence(false);
      this.onchange();
    };
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket) this.#receive(new DataView(data)).catch((error) => this.#refuse(`a mask that can't be read: ${error.message}`));
    };
    socket.onclose = ({ reason, code }) => {
      if (this.#socket !== socket) return;
      if (code === IDLE) this.#drop();
      else this.#lose(reason || (code === BROKEN ? explainSilence(host) : ""));
    };
    [this.#socket, this.#query] = [socket, query];
    this.#watchSilence(true);
  }

  /** Forgets a closed connection. That is no error if it was idle while the video was paused; a later frame opens another one. */
  #drop() {
    this.#socket = null;
    this.#pending.clear();
    this.#watchSilence(false);
    this.#retryAt = performance.now() + BACKOFF_MS[0];
  }

  /**
   * Forgets a failed connection, reports the error, and sets the delay before the next attempt.
   *
   * @param {string} why reason as text, or empty
   */
  #lose(why) {
    this.#drop();
    this.error = why;
    const [first, longest] = BACKOFF_MS;
    // Up to half of the delay is left out at random, so that players don't all reconnect at once after a server restart.
    this.#retryAt = performance.now() + Math.min(longest, first * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    this.#failures += 1;
    this.onchange();
  }

  /** @param {boolean} isWaiting restarts or stops the timer that reports a silent server, and then closes the connection */
  #watchSilence(isWaiting) {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = undefined;
    const socket = this.#socket;
    if (!isWaiting || !socket) return;
    const [reportMs, closeMs] = SILENCE_MS;
    const why = `no answer from ${new URL(socket.url).host}`;
    this.#silenceTimer = setTimeout(() => {
      this.error = why;
      this.#silenceTimer = setTimeout(() => {
        this.#lose(why);
        socket.close();
      }, closeMs - reportMs);
      this.onchange();
    }, reportMs);
  }

  /** @param {string} why reason as text why a frame has no mask */
  #refuse(why) {
    this.counts.errors += 1;
    this.error = why;
    this.onchange();
  }

  /** @param {DataView<ArrayBuffer>} answer for one frame: a header, the pts of skipped frames, and a mask or an error */
  async #receive(answer) {
    const pts = answer.getFloat64(8, true);
    const skipped = answer.getUint32(48, true);
    for (let at = 0; at < skipped; at++) this.#pending.delete(answer.getFloat64(ANSWER_BYTES + 8 * at, true));
    this.counts.skipped += skipped;
    this.roundTrip = performance.now() - (this.#pending.get(pts) ?? performance.now());
    this.#pending.delete(pts);
    this.#watchSilence(this.#pending.size > 0);
    const body = new Uint8Array(answer.buffer, ANSWER_BYTES + 8 * skipped);
    if (answer.getUint16(6, true) !== 200) {
      this.#refuse(JSON.parse(new TextDecoder().decode(body)).error);
      return;
    }
    [this.#failures, this.error] = [0, ""];
    const timeline = this.#timeline;
    const columns = await readColumns(body);
    if (timeline !== this.#timeline) return; // the film has changed while the mask was decoded
    const flags = answer.getUint8(5);
    const [width, height] = [answer.getUint16(16, true), answer.getUint16(18, true)];
    const outline = roundRings(traceRings(columns, width, height), width, height);
    // Keep the outline instead of the pixels, because it takes a tenth of their memory.
    const bytes = outline.rings.reduce((sum, ring) => sum + ring.byteLength + RING_BYTES, 0);
    timeline.add({
      pts,
      cut: (flags & 1) !== 0,
      held: (flags & 2) !== 0,
      coverage: answer.getFloat32(20, true),
      shape: { outline, bytes },
    });
    this.counts.masks += 1;
    this.onchange();
  }
}

/**
 * The message for a server that can't be reached. Browsers don't tell whether it is down or refuses pages of this origin.
 *
 * @param {string} host
 */
function explainSilence(host) {
  const { host: own, origin } = globalThis.location ?? {};
  return `no connection to ${host}${origin && own !== host ? `: it isn't running, or its setting origins doesn't include ${origin}` : ""}`;
}

/**
 * The stream's address. By default it is on the server that this module was loaded from, below the same path prefix. In a bundle, whose
 * address isn't `live.js`, it is at the root of the page's server.
 *
 * @param {string | URL | undefined} url
 */
function findStream(url) {
  const own = import.meta.url ?? "";
  const isModule = /^https?:.*\/live\.js$/.test(own.split("?")[0]);
  const found = url ? new URL(url, document.baseURI) : isModule ? new URL("v1/stream", own) : new URL("/v1/stream", document.baseURI);
  found.protocol = found.protocol.replace("http", "ws");
  return found;
}

/**
 * Which pixels of a grey picture are bright: 1 if so, else 0, column by column, each from its top.
 *
 * @param {Uint8Array<ArrayBuffer>} png
 */
async function readColumns(png) {
  const picture = await createImageBitmap(new Blob([png]));
  const { width, height } = picture;
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (
    new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })
  );
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const columns = new Uint8Array(width * height);
  for (let at = 0; at < columns.length; at++) {
    columns[(at % width) * height + Math.floor(at / width)] = data[4 * at] > 127 ? 1 : 0;
  }
  return columns;
}
