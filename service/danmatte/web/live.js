/** Masks from a service's `/v1/stream`, made while the video plays; its messages are laid out in `service/danmatte/messages.py`. */

import { CutDetector } from "./cuts.js";
import { startLookAhead } from "./look-ahead.js";
import { roundRings, traceRings } from "./outline.js";
import { Timeline } from "./timeline.js";

/**
 * @typedef {object} LiveOptions
 * @property {string | URL | (() => string | URL)} [url] of the stream; this module's own server unless given. A function is asked for every
 *   connection, as a token in the address doesn't count for long
 * @property {string} [region] what is painted, such as `person,text`, where the server's models find it; their own unless given
 * @property {number} [width] of the masks in pixels; their height follows the video
 * @property {number} [frameWidth] of the frames that are sent, in pixels
 * @property {number} [patienceMs] how long a mask may stay when no newer one came
 * @property {number} [ahead] seconds that a hidden copy of the video runs before it, so that masks are there in
 *   time; files only, a camera has no future
 */

const DEFAULTS = { region: "", width: 320, frameWidth: 512, patienceMs: 350, ahead: 0 };
const MAGIC = 0x314c4d44; // "DML1", little-endian
const OFFER_BYTES = 20;
const ANSWER_BYTES = 56;
const IN_FLIGHT = 2; // frames sent and not answered yet, at most
const BACKOFF_MS = [250, 15_000]; // twice as long each time
const NEAR_MS = 4; // a frame whose newest mask is this near isn't sent
const NEAR_AHEAD_MS = 100; // the same where the hidden copy has sent the frame, or soon will
const RING_BYTES = 200; // of objects around a ring's points
const [IDLE, BROKEN] = [1000, 1006]; // codes of closing: no frame came for long; without a word
const SILENCE_MS = [2500, 10_000]; // without any answer: it is told; the connection is given up
const UNREADABLE = "the video may not be read: expected one from this origin, or crossorigin with CORS";

/**
 * Opens a live connection, a source of masks for `attach`.
 *
 * @param {string | URL | true | LiveOptions} where an address, or true for the server that sent this module
 * @param {string} [region] as in the options
 * @returns {Live}
 */
export function openLive(where, region = "") {
  const options = where === true ? {} : typeof where === "string" || where instanceof URL ? { url: where } : where;
  return new Live({ ...DEFAULTS, ...(region ? { region } : {}), ...options });
}

/** A connection to a service as a source of masks; frames are sent as they are shown. */
export class Live {
  onchange = () => {};
  /** What happened so far: frames sent and skipped, masks received, refusals, connections made. */
  counts = { sent: 0, masks: 0, skipped: 0, errors: 0, connections: 0 };
  /** Milliseconds from a frame's departure to its mask's arrival, the newest. */
  roundTrip = 0;
  /** Why there are no masks, in words; empty as soon as there are. */
  error = "";
  /** @type {typeof DEFAULTS & LiveOptions} */
  #options;
  #timeline = new Timeline();
  #cuts = new CutDetector();
  #canvas = document.createElement("canvas");
  /** @type {WebSocket | null} */
  #socket = null;
  #query = ""; // that the socket was opened with
  /** @type {Map<number, number>} pts of frames without an answer, and when they left */
  #flying = new Map();
  #encoding = false;
  #failures = 0;
  #retryAt = 0;
  #closed = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #alarm; // while an answer is waited for
  /** @type {{stop: () => void} | null} */
  #lookAhead = null;
  /** @type {MediaProvider | string} */
  #film = "";
  /** @type {MediaProvider | string | null} a film whose pixels the browser refuses */
  #unreadable = null;
  /** @type {MediaProvider | string | null} a film that can't be opened twice: nothing runs ahead of it */
  #single = null;

  /** @param {typeof DEFAULTS & LiveOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * The mask for a frame; null while there is none, or only one that is too old or from before a cut.
   *
   * @param {number} ms
   */
  at(ms) {
    const mask = this.#timeline.find(ms);
    if (!mask || ms - mask.pts > this.#options.patienceMs) return null;
    return this.#cuts.hasCut(mask.pts, ms) ? null : mask;
  }

  /**
   * Sends the frame that the video shows, when a mask of it is needed.
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
   * Starts a copy that runs ahead; without one the frames of the video itself are sent, as from a camera.
   *
   * @param {HTMLVideoElement} video
   * @param {MediaProvider | string} film
   */
  #runAhead(video, film) {
    const fail = () => {
      this.#lookAhead?.stop();
      [this.#lookAhead, this.#single] = [null, film];
      console.warn("danmatte: nothing runs ahead of this film, as it can't be opened twice; its masks are a round trip late");
    };
    this.#lookAhead = startLookAhead(video, this.#options.ahead, (soon, copy) => this.#offer(soon, copy), fail);
  }

  close() {
    this.#closed = true;
    this.rest();
  }

  /** Gives up connection and hidden copy until a frame is wanted again. */
  rest() {
    this.#reset();
    this.#film = "";
  }

  /** Another film in the same element: its times mean other frames. */
  #reset() {
    this.#lookAhead?.stop();
    this.#socket?.close();
    this.#await(false);
    [this.#timeline, this.#cuts, this.#lookAhead, this.#socket] = [new Timeline(), new CutDetector(), null, null];
    this.#flying.clear();
  }

  /**
   * Looks for a cut; whether the frame could be read. A film whose pixels the browser refuses is tried once.
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
   * Sends the frame, unless enough are on their way already or its mask is known.
   *
   * @param {number} ms
   * @param {HTMLVideoElement} video
   */
  #offer(ms, video) {
    if (this.#closed || this.#encoding || this.#flying.size >= IN_FLIGHT || this.#flying.has(ms)) return;
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
   * @param {WebSocket} socket that was open when the picture was taken
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
    this.#flying.set(ms, performance.now());
    this.counts.sent += 1;
    if (this.#alarm === undefined) this.#await(true);
    socket.send(new Blob([header, picture]));
  }

  /**
   * The socket for masks of this video's shape, opened when it is time; null while there is none.
   *
   * @param {HTMLVideoElement} video
   */
  #ensureSocket(video) {
    if (!video.videoWidth) return null;
    const { width, region } = this.#options;
    const height = Math.max(1, Math.round((width * video.videoHeight) / video.videoWidth));
    // Each region has a threshold of its own.
    const wanted = region ? `region=${encodeURIComponent(region)}` : "threshold=0.5";
    const query = `width=${width}&height=${height}&format=png&${wanted}`;
    if (this.#socket && query !== this.#query) this.#socket.close();
    if (!this.#socket && performance.now() >= this.#retryAt) this.#connect(query);
    return this.#socket;
  }

  /**
   * A connection; null for what is no address of a stream, or one that this page may not open, which is told.
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
      this.#await(false);
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
    this.#await(true);
  }

  /** The connection is gone, as it idled while the viewer paused: nothing is wrong, and a later frame opens another one. */
  #drop() {
    this.#socket = null;
    this.#flying.clear();
    this.#await(false);
    this.#retryAt = performance.now() + BACKOFF_MS[0];
  }

  /**
   * The connection is lost; when it is time there will be another one.
   *
   * @param {string} why in words, or empty
   */
  #lose(why) {
    this.#drop();
    this.error = why;
    const [least, most] = BACKOFF_MS;
    // A random half of the pause, so that players don't all come back at once after a restart.
    this.#retryAt = performance.now() + Math.min(most, least * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    this.#failures += 1;
    this.onchange();
  }

  /** @param {boolean} begins or ends: a silence of the server is told, and in the end not waited for any longer */
  #await(begins) {
    clearTimeout(this.#alarm);
    this.#alarm = undefined;
    const socket = this.#socket;
    if (!begins || !socket) return;
    const [told, most] = SILENCE_MS;
    const why = `no answer from ${new URL(socket.url).host}`;
    this.#alarm = setTimeout(() => {
      this.error = why;
      this.#alarm = setTimeout(() => {
        this.#lose(why);
        socket.close();
      }, most - told);
      this.onchange();
    }, told);
  }

  /** @param {string} why a frame has no mask, in words */
  #refuse(why) {
    this.counts.errors += 1;
    this.error = why;
    this.onchange();
  }

  /** @param {DataView<ArrayBuffer>} answer of one frame: a header, the pts of frames that were skipped, a mask or an error */
  async #receive(answer) {
    const pts = answer.getFloat64(8, true);
    const skipped = answer.getUint32(48, true);
    for (let at = 0; at < skipped; at++) this.#flying.delete(answer.getFloat64(ANSWER_BYTES + 8 * at, true));
    this.counts.skipped += skipped;
    this.roundTrip = performance.now() - (this.#flying.get(pts) ?? performance.now());
    this.#flying.delete(pts);
    this.#await(this.#flying.size > 0);
    const body = new Uint8Array(answer.buffer, ANSWER_BYTES + 8 * skipped);
    if (answer.getUint16(6, true) !== 200) {
      this.#refuse(JSON.parse(new TextDecoder().decode(body)).error);
      return;
    }
    [this.#failures, this.error] = [0, ""];
    const timeline = this.#timeline;
    const columns = await readColumns(body);
    if (timeline !== this.#timeline) return; // the film changed meanwhile
    const flags = answer.getUint8(5);
    const [width, height] = [answer.getUint16(16, true), answer.getUint16(18, true)];
    const outline = roundRings(traceRings(columns, width, height), width, height);
    // An outline is kept instead of the pixels: it takes a tenth of their bytes.
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
 * Why a server can't be reached: browsers don't tell one that isn't there from one that refuses this page.
 *
 * @param {string} host
 */
function explainSilence(host) {
  const { host: own, origin } = globalThis.location ?? {};
  return `no connection to ${host}${origin && own !== host ? `: it isn't there, or its setting origins doesn't name ${origin}` : ""}`;
}

/**
 * The stream's address. That of this module's own server is beside the module, below any prefix; a bundle is on the page's server, and the
 * stream at that one's root.
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
 * A grey picture's bright pixels, column after column from the top: 1 where they are bright.
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
