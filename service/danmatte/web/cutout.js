/** Changes of the comment layer's style: parts over people are cut out, missing masks make it faint, and `restore` undoes both. */

import { findReach, toClipPath, toPathData } from "./outline.js";

/** @typedef {import("./outline.js").Outline} Outline */
/** @typedef {import("./outline.js").Place} Place */

/** @typedef {"clipPath" | "filter" | "mask"} Property */

const FADE_MS = 200;
const SVG = "http://www.w3.org/2000/svg";

/** The style changes of one layer. */
export class Cutout {
  /** @type {HTMLElement} */
  #layer;
  #own; // the layer's original style
  /** @type {Map<Property, string>} */
  #given = new Map(); // the values set last
  #opacity = 1;
  /** @type {Record<"root" | "mask" | "sheet" | "path", Element> | null} */
  #veil = null;

  /** @param {HTMLElement} layer */
  constructor(layer) {
    this.#layer = layer;
    const { clipPath, filter, mask } = layer.style;
    this.#own = { clipPath, filter, mask };
  }

  /**
   * Shows comments everywhere except inside the outline.
   *
   * @param {Outline | null} outline null to show the whole layer
   * @param {Place} place
   * @param {number} strength how much people hide comments: 1 completely, less makes them translucent
   */
  cut(outline, place, strength) {
    // Safari doesn't apply an SVG mask from the page to HTML elements, so there people hide comments completely.
    const isVeiled = outline && strength < 1 && !globalThis.navigator?.vendor?.startsWith("Apple");
    if (isVeiled) this.#cover(outline, place, strength);
    else this.#uncover();
    this.#set("clipPath", outline && !isVeiled ? toClipPath(outline, place) : "none");
  }

  /**
   * Sets the opacity of comments: a decrease takes effect at once, an increase is animated. Uses `filter`, because comment
   * libraries set `opacity` themselves.
   *
   * @param {number} opacity 1 for the layer's original style
   */
  dim(opacity) {
    if (this.#opacity === opacity) return;
    const [before, after] = [this.#layer.style.filter, opacity === 1 ? this.#own.filter : `opacity(${opacity})`];
    const isCalm = globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches;
    if (opacity > this.#opacity && !isCalm) this.#layer.animate({ filter: [before, after || "none"] }, FADE_MS);
    this.#set("filter", after);
    this.#opacity = opacity;
  }

  /** Repairs styles that the page removed: frameworks rewrite whole style attributes and move layers within the page. */
  mend() {
    const { style } = this.#layer;
    for (const [name, value] of this.#given) if (value && !style[name]) style[name] = value;
    this.#placeVeil();
  }

  /** Restores the layer's original style. */
  restore() {
    this.#uncover();
    this.#opacity = 1;
    for (const name of /** @type {Property[]} */ (Object.keys(this.#own))) this.#set(name, this.#own[name]);
    this.#given.clear();
  }

  /** @type {(name: Property, value: string) => void} */
  #set(name, value) {
    this.#given.set(name, value);
    if (this.#layer.style[name] !== value) this.#layer.style[name] = value;
  }

  /**
   * Hides comments inside the outline partly, which `clip-path` can't do, by an SVG mask in the page. An SVG element changes
   * together with the frame, while a mask image would have to be decoded first.
   *
   * @type {(outline: Outline, place: Place, strength: number) => void}
   */
  #cover(outline, place, strength) {
    const [w, h] = findReach(place);
    const around = { x: -w, y: -h, width: 3 * w, height: 3 * h };
    /** @type {(name: string, attributes: Record<string, string | number>, made?: Element) => Element} */
    const dress = (name, attributes, made = document.createElementNS(SVG, name)) => {
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
      return made;
    };
    if (!this.#veil) {
      const id = `danmatte-${Math.random().toString(36).slice(2)}`; // a page may have this module twice
      const root = dress("svg", { width: 0, height: 0, "aria-hidden": "true" });
      /** @type {SVGElement} */ (root).style.position = "absolute";
      const [mask, sheet] = [dress("mask", { id, maskUnits: "userSpaceOnUse" }), dress("rect", {})];
      const path = dress("path", { "fill-rule": "evenodd" });
      // Players set the fill of all paths in them by CSS rules, which take precedence over attributes.
      for (const [element, colour] of /** @type {[SVGElement, string][]} */ ([[sheet, "#fff"], [path, "#000"]])) {
        element.style.setProperty("fill", colour, "important");
      }
      mask.append(sheet, path);
      root.append(mask);
      this.#veil = { root, mask, sheet, path };
      this.#placeVeil();
      this.#set("mask", `url("#${id}")`);
    }
    dress("mask", around, this.#veil.mask);
    dress("rect", around, this.#veil.sheet);
    dress("path", { d: toPathData(outline, place), "fill-opacity": strength }, this.#veil.path);
  }

  /** Puts the SVG mask beside the layer, because references are resolved in the layer's tree, which may be a shadow tree. */
  #placeVeil() {
    const [layer, root] = [this.#layer, this.#veil?.root];
    if (root && root.parentNode !== layer.parentNode) layer.after(root);
  }

  #uncover() {
    this.#veil?.root.remove();
    if (this.#veil) this.#set("mask", this.#own.mask);
    this.#veil = null;
  }
}
