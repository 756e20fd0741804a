/**
 * `<danmatte-layer>`: comments within it pass behind the people in a video, whatever the player.
 *
 *     <danmatte-layer for="video" track="film.mattes">…</danmatte-layer>
 *
 * Importing this module defines the element. Attributes: `track` or `live` (without a value: this module's own server), `for` (a video's
 * id; without it the nearest video around), `late`, `sync`, and for the viewer `margin`, `strength`, `off`, or `remember`. Frameworks write
 * `true` and `false` into attributes: `off="false"` is no `off`.
 * An event `danmatte-error` tells why there are no masks; its `detail` is in words.
 */

import { attach } from "./danmatte.js";

/**
 * The element's attributes, for frameworks that check types.
 *
 * @typedef {object} LayerAttributes
 * @property {string} [track] address of a mask track
 * @property {boolean | string} [live] address of a stream, or nothing for this module's own server
 * @property {string} [for] id of the video, or of a player around it
 * @property {"dim" | "show" | "hide"} [late]
 * @property {"screen" | "exact"} [sync]
 * @property {number | string} [margin]
 * @property {number | string} [strength]
 * @property {boolean | string} [off]
 * @property {boolean | string} [remember]
 */

const LOOK_MS = 500; // how often a video is looked for that isn't there, or was replaced
const STYLE = ":host { display: block; position: absolute; inset: 0; overflow: hidden; pointer-events: none }";
const ATTRIBUTES = ["track", "live", "for", "late", "sync", "margin", "strength", "off", "remember"];
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {}); // servers have no elements

/** A layer for comments that attaches itself to its video, also to one that a player makes or replaces later. */
export class DanmatteLayer extends Base {
  static observedAttributes = ATTRIBUTES;
  /** @type {import("./danmatte.js").Attachment | null} */
  handle = null;
  /** @type {HTMLVideoElement | null} */
  #video = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  #isDue = false;

  connectedCallback() {
    if (!this.shadowRoot) this.attachShadow({ mode: "open" }).append(document.createElement("slot"));
    this.#dress(/** @type {ShadowRoot} */ (this.shadowRoot));
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#look();
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#release();
  }

  attributeChangedCallback() {
    if (this.#isDue || this.#timer === undefined) return;
    this.#isDue = true;
    // Several attributes that change together attach once.
    queueMicrotask(() => {
      this.#isDue = false;
      this.#release();
      if (this.isConnected) this.#look();
    });
  }

  /**
   * A sheet belongs to its document, and is gone once the element is in another one, such as a window of its own over others.
   *
   * @param {ShadowRoot} root
   */
  #dress(root) {
    if (root.adoptedStyleSheets?.length) return;
    const { CSSStyleSheet: Sheet } = this.ownerDocument?.defaultView ?? globalThis;
    const sheet = new Sheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
  }

  /** @param {string} name of an attribute, which `false` is as good as none for */
  #read(name) {
    const value = this.getAttribute(name);
    return value === "false" ? null : value;
  }

  #release() {
    this.handle?.detach();
    [this.handle, this.#video] = [null, null];
  }

  #look() {
    if (this.#video?.isConnected) return;
    this.#release();
    const [track, live, off, remember] = ["track", "live", "off", "remember"].map((name) => this.#read(name));
    const id = this.getAttribute("for");
    const root = /** @type {Document | ShadowRoot} */ (this.getRootNode());
    let found = id ? root.getElementById(id) : null;
    for (let around = this.parentElement; around && !id && !found; around = around.parentElement) found = around.querySelector("video");
    const video = found instanceof HTMLVideoElement ? found : /** @type {HTMLVideoElement | null} */ (found?.querySelector("video") ?? null);
    if (!video || (!track && live === null)) return;
    /** @type {(name: string) => number | undefined} */
    const read = (name) => (this.hasAttribute(name) ? Number(this.getAttribute(name)) : undefined);
    const choices = { on: off === null, margin: read("margin"), strength: read("strength") };
    this.#video = video;
    this.handle = attach(video, this, {
      ...(track ? { track } : { live: live === "true" || live || true }),
      late: /** @type {"dim" | "show" | "hide" | null} */ (this.getAttribute("late")) ?? undefined,
      sync: /** @type {"screen" | "exact" | null} */ (this.getAttribute("sync")) ?? undefined,
      preferences: remember === null ? choices : true,
      onerror: (detail) => this.dispatchEvent(new CustomEvent("danmatte-error", { detail })),
    });
  }
}

if (globalThis.customElements && !customElements.get("danmatte-layer")) customElements.define("danmatte-layer", DanmatteLayer);
