/** Masks from a service's `/v1/stream`, made while the video plays; the messages are drawn in `service/danmatte/messages.py`. */

import { Cuts } from "./cuts.js";
import { rounded, traced } from "./outline.js";
import { scout } from "./scout.js";
import { Timeline } from "./timeline.js";

/**
 * @typedef {object} LiveOptions
 * @property {string | URL} [url] of the stream; this module's own server unless given
 * @property {number} [width] of the masks; their height follows the video
 * @property {number} [frameWidth] of the frames that are sent
 * @property {number} [patienceMs] how long a mask may stay when no newer one came
 * @property {number} [ahead] seconds that a hidden copy of the video runs before it, so that masks are there in
 *   time; files only, a camera has no future
 */

const DEFAULTS = { width: 320, frameWidth: 512, patienceMs: 350, ahead: 0 };
const MAGIC = 0x314c4d44; // "DML1", little-endian
const OFFER_BYTES = 20;
const ANSWER_BYTES = 56;
const IN_FLIGHT = 2;
const BACKOFF_MS = [250, 15_000];
const RING_BYTES = 200; // of objects around a ring's points
const UNREADABLE = "the video may not be read: expected one from this origin, or crossorigin with CORS";

/**
 * @param {string | URL | true | LiveOptions} where
 * @returns {Live}
 */
export function openLive(where) {
  const options = where === true ? {} : typeof where === "string" || where instanceof URL ? { url: where } : where;
  return new Live({ ...DEFAULTS, ...options });
}

/** A source of masks for frames as they are shown. */
export class Live {
  onchange = () => {};
  #options;
  #timeline = new Timeline();
  #cuts = new Cuts();
  #canvas = document.createElement("canvas");
  #socket = null;
  #asked = "";
  #flying = new Map(); // pts to when it left
  #encoding = false;
  #failures = 0;
  #retryAt = 0;
  #closed = false;
  #scout = null;
  #film = "";
  #unreadable = null;

  constructor(options) {
    this.#options = options;
    /** What happened, for the curious: frames sent and skipped, masks received, errors by code. */
    this.counts = { sent: 0, masks: 0, skipped: 0, errors: 0, connections: 0 };
    /** Milliseconds from a frame's departure to its mask's arrival, the newest. */
    this.roundTrip = 0;
    /** The last refusal in words, or empty. */
    this.error = "";
  }

  at(ms) {
    const mask = this.#timeline.at(ms);
    if (!mask || ms - mask.pts > this.#options.patienceMs) return null;
    return this.#cuts.between(mask.pts, ms) ? null : mask;
  }

  want(ms, video) {
    const film = video.srcObject ?? video.currentSrc;
    if (this.#film && film !== this.#film) this.#forget();
    this.#film = film;
    if (!this.#seen(video, ms)) return;
    if (this.#options.ahead && !this.#scout && video.currentSrc) {
      this.#scout = scout(video, this.#options.ahead, (soon, copy) => this.#offer(soon, copy));
    }
    const newest = this.#timeline.at(ms);
    const near = this.#scout ? 100 : 4; // the copy has it, or soon will
    if (!newest || Math.abs(ms - newest.pts) > near) this.#offer(ms, video);
  }

  /** Whether the frame could be read; videos from elsewhere are asked for once. */
  #seen(video, ms) {
    if (this.#unreadable === this.#film) return false;
    try {
      this.#cuts.see(video, ms);
    } catch (error) {
      if (error.name !== "SecurityError") throw error;
      [this.#unreadable, this.error] = [this.#film, UNREADABLE];
      console.warn(`danmatte: ${UNREADABLE}`);
      return false;
    }
    return true;
  }

  close() {
    this.#closed = true;
    this.#scout?.stop();
    this.#socket?.close();
  }

  /** Another film in the same element: its times mean other frames. */
  #forget() {
    this.#scout?.stop();
    this.#socket?.close();
    [this.#timeline, this.#cuts, this.#scout, this.#socket] = [new Timeline(), new Cuts(), null, null];
    this.#flying.clear();
  }

  /** Sends the frame, unless enough are on their way already or its mask is known. */
  #offer(ms, video) {
    if (this.#closed || this.#encoding || this.#flying.size >= IN_FLIGHT || this.#flying.has(ms)) return;
    if (this.#timeline.at(ms)?.pts === ms || !this.#connected(video)) return;
    this.#encoding = true;
    const [socket, { frameWidth }] = [this.#socket, this.#options];
    this.#canvas.width = Math.min(frameWidth, video.videoWidth);
    this.#canvas.height = Math.max(1, Math.round((this.#canvas.width * video.videoHeight) / video.videoWidth));
    this.#canvas.getContext("2d").drawImage(video, 0, 0, this.#canvas.width, this.#canvas.height);
    this.#canvas.toBlob((picture) => this.#send(socket, ms, picture), "image/jpeg", 0.8);
  }

  #send(socket, ms, picture) {
    this.#encoding = false;
    if (!picture || socket !== this.#socket || socket.readyState !== WebSocket.OPEN) return;
    const header = new DataView(new ArrayBuffer(OFFER_BYTES));
    header.setUint32(0, MAGIC, true);
    header.setUint8(4, 1);
    header.setFloat64(8, ms, true);
    this.#flying.set(ms, performance.now());
    this.counts.sent += 1;
    socket.send(new Blob([header, picture]));
  }

  /** Whether the socket is open for masks of this video's shape; opens it when it is time. */
  #connected(video) {
    if (!video.videoWidth) return false;
    const { width } = this.#options;
    const height = Math.max(1, Math.round((width * video.videoHeight) / video.videoWidth));
    const asked = `width=${width}&height=${height}&format=png&threshold=0.5`;
    if (this.#socket && asked !== this.#asked) this.#socket.close();
    if (!this.#socket && performance.now() >= this.#retryAt) this.#connect(asked);
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  #connect(asked) {
    const url = new URL(this.#options.url ?? "/v1/stream", import.meta.url);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = `${url.search ? `${url.search}&` : "?"}${asked}`;
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.counts.connections += 1;
      this.onchange();
    };
    socket.onmessage = ({ data }) => this.#socket === socket && this.#answered(new DataView(data));
    socket.onclose = ({ reason }) => this.#lost(socket, reason);
    [this.#socket, this.#asked] = [socket, asked];
  }

  #lost(socket, reason) {
    if (this.#socket !== socket) return;
    this.#socket = null;
    this.#flying.clear();
    this.error = reason;
    const [least, most] = BACKOFF_MS;
    this.#retryAt = performance.now() + Math.min(most, least * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    this.#failures += 1;
  }

  async #answered(view) {
    const pts = view.getFloat64(8, true);
    const skipped = view.getUint32(48, true);
    for (let at = 0; at < skipped; at++) this.#flying.delete(view.getFloat64(ANSWER_BYTES + 8 * at, true));
    this.counts.skipped += skipped;
    this.roundTrip = performance.now() - (this.#flying.get(pts) ?? performance.now());
    this.#flying.delete(pts);
    const body = new Uint8Array(view.buffer, ANSWER_BYTES + 8 * skipped);
    if (view.getUint16(6, true) !== 200) {
      this.counts.errors += 1;
      this.error = JSON.parse(new TextDecoder().decode(body)).error;
      return;
    }
    this.#failures = 0;
    const timeline = this.#timeline;
    const columns = await columnsOf(body);
    if (timeline === this.#timeline) this.#keep(columns, view);
  }

  #keep(columns, view) {
    const flags = view.getUint8(5);
    const [width, height] = [view.getUint16(16, true), view.getUint16(18, true)];
    this.#timeline.add({
      pts: view.getFloat64(8, true),
      cut: (flags & 1) !== 0,
      held: (flags & 2) !== 0,
      coverage: view.getFloat32(20, true),
      shape: outlined(columns, width, height),
    });
    this.counts.masks += 1;
    this.onchange();
  }
}

/** A mask's outline and the bytes it takes: a tenth of the pixels'. */
function outlined(columns, width, height) {
  const outline = rounded(traced(columns, width, height), width, height);
  return { outline, bytes: outline.rings.reduce((sum, ring) => sum + ring.byteLength + RING_BYTES, 0) };
}

/** A grey picture's bright pixels, column after column. */
async function columnsOf(png) {
  const picture = await createImageBitmap(new Blob([png]));
  const { width, height } = picture;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const columns = new Uint8Array(width * height);
  for (let at = 0; at < columns.length; at++) {
    columns[(at % width) * height + Math.floor(at / width)] = data[4 * at] > 127 ? 1 : 0;
  }
  return columns;
}
