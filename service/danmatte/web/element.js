/**
 * The element `<danmatte-layer>`: comments inside it pass behind the people in a video, with any player.
 *
 *     <danmatte-layer for="video" track="film.mattes">…</danmatte-layer>
 *
 * Importing this module defines the element. Attributes: `track` or `live` (without a value: the server that this module was loaded from), `for`
 * (a video's id; without it the video in the nearest ancestor is used), `late` and `sync`. The viewer's preferences are `margin`, `strength` and
 * `off`, or `remember` to use those stored in the browser. Frameworks write `true` and `false` into attributes, so `off="false"` counts as absent.
 * The event `danmatte-error` is dispatched when there are no masks; its `detail` is the reason as text.
 */

import { attach } from "./danmatte.js";

/**
 * The element's attributes, for frameworks that check types.
 *
 * @typedef {object} LayerAttributes
 * @property {string} [track] address of a mask track
 * @property {boolean | string} [live] address of a stream; empty for the server that this module was loaded from
 * @property {string} [for] id of the video, or of a player around it
 * @property {"dim" | "show" | "hide"} [late]
 * @property {"screen" | "exact"} [sync]
 * @property {number | string} [margin]
 * @property {number | string} [strength]
 * @property {boolean | string} [off]
 * @property {boolean | string} [remember]
 */

const LOOK_MS = 500; // interval at which a missing or replaced video is looked for
const STYLE = ":host { display: block; position: absolute; inset: 0; overflow: hidden; pointer-events: none }";
const ATTRIBUTES = ["track", "live", "for", "late", "sync", "margin", "strength", "off", "remember"];
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? class {}); // HTMLElement is missing in server-side rendering

/** A layer for comments that attaches itself to its video, even if a player creates or replaces that video later. */
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
    this.#adoptStyle(/** @type {ShadowRoot} */ (this.shadowRoot));
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
    // If several attributes change together, attach only once.
    queueMicrotask(() => {
      this.#isDue = false;
      this.#release();
      if (this.isConnected) this.#look();
    });
  }

  /**
   * Adds the style sheet. A constructed sheet belongs to one document and is lost when the element moves to another one, such as a
   * picture-in-picture window.
   *
   * @param {ShadowRoot} root
   */
  #adoptStyle(root) {
    if (root.adoptedStyleSheets?.length) return;
    const { CSSStyleSheet: Sheet } = this.ownerDocument?.defaultView ?? globalThis;
    const sheet = new Sheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
  }

  /** @param {string} name of an attribute; the value `false` counts as absent */
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
