/** A fake browser controlled by tests, with the APIs that the modules use. `installBrowser` installs it as globals. */

import { mock } from "node:test";

/** Milliseconds, for `performance.now()` and all timers. */
export const clock = { now: 0 };
const repaints = new Map();
let lastRepaint = 0;

/** Advances the time and calls the timers that are due. */
export function advance(ms) {
  clock.now += ms;
  mock.timers.tick(ms);
}

/** Runs one repaint of the screen. */
export function repaint() {
  const callbacks = [...repaints.values()];
  repaints.clear();
  for (const callback of callbacks) callback(clock.now);
}

/** The number of callbacks that wait for a repaint. */
export const countRepaints = () => repaints.size;

/** Runs the event loop until the condition holds. Uses the real clock, because Node's threads may need some time. */
export async function until(condition, what = "the condition") {
  const end = process.hrtime.bigint() + 20_000_000_000n;
  while (!condition()) {
    if (process.hrtime.bigint() > end) throw new Error(`timed out: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Runs the callbacks of promises that are already settled. */
export const flush = () => new Promise((resolve) => setImmediate(resolve));

/** An animation whose position is set by a test. */
export class FakeAnimation {
  playState = "running";
  playbackRate = 1;
  currentTime = 0;
  onfinish = null;

  constructor(keyframes, options) {
    Object.assign(this, { keyframes, options });
  }

  play() {
    this.playState = "running";
  }

  pause() {
    this.playState = "paused";
  }
}

/** An element with a box on the page, children and styles. */
export class FakeElement extends EventTarget {
  style = {
    ...{ clipPath: "", filter: "", mask: "" },
    setProperty(name, value) {
      this[name] = value;
    },
  };
  box = { x: 0, y: 0, width: 320, height: 180 };
  nodes = [];
  parent = null;
  animations = [];
  attributes = new Map();
  classes = new Set();
  className = "";
  hidden = false;
  isConnected = true;
  nodeType = 1;
  name = "";
  value = "";
  checked = false;

  constructor(tag = "div") {
    super();
    this.tag = tag;
    this.classList = {
      toggle: (name, on) => (on ? this.classes.add(name) : this.classes.delete(name)),
      contains: (name) => this.classes.has(name),
    };
  }

  get children() {
    return this.nodes.filter((node) => typeof node !== "string");
  }

  get firstElementChild() {
    return this.children[0] ?? null;
  }

  get lastElementChild() {
    return this.children.at(-1) ?? null;
  }

  get textContent() {
    return this.nodes.map((node) => (typeof node === "string" ? node : node.textContent)).join("");
  }

  set textContent(text) {
    this.replaceChildren(...(text === "" ? [] : [String(text)]));
  }

  get parentNode() {
    return this.parent;
  }

  get parentElement() {
    return this.parent;
  }

  get clientWidth() {
    return this.box.width;
  }

  get clientHeight() {
    return this.box.height;
  }

  get offsetWidth() {
    return this.layoutWidth ?? this.box.width;
  }

  get offsetHeight() {
    return this.layoutHeight ?? this.box.height;
  }

  getBoundingClientRect() {
    return this.box;
  }

  append(...nodes) {
    for (const node of nodes) if (node instanceof FakeElement) node.parent = this;
    this.nodes.push(...nodes);
  }

  after(node) {
    node.parent = this.parent;
    this.parent?.nodes.splice(this.parent.nodes.indexOf(this) + 1, 0, node);
  }

  remove() {
    this.parent?.nodes.splice(this.parent.nodes.indexOf(this), 1);
    this.parent = null;
  }

  replaceChildren(...nodes) {
    for (const child of this.children) child.parent = null;
    this.nodes = [];
    this.append(...nodes);
  }

  setAttribute(name, value) {
    this.attributes.set(name, value);
  }

  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }

  hasAttribute(name) {
    return this.attributes.has(name);
  }

  removeAttribute(name) {
    this.attributes.delete(name);
    if (name === "src") this.src = "";
  }

  toggleAttribute(name, on) {
    if (on) this.attributes.set(name, "");
    else this.attributes.delete(name);
  }

  animate(keyframes, options) {
    this.animations.push(new FakeAnimation(keyframes, options));
    return this.animations.at(-1);
  }

  getAnimations() {
    return this.descendants().flatMap((element) => element.animations);
  }

  click() {
    this.emit("click");
  }

  /** Dispatches an event of this name and returns it, so that a test can see how the page handled it. */
  emit(name, properties = {}) {
    const event = Object.assign(new Event(name, { cancelable: true }), properties);
    this.dispatchEvent(event);
    return event;
  }

  /** This element and its descendants, in document order. */
  descendants() {
    return [this, ...this.children.flatMap((child) => child.descendants())];
  }

  /** The descendants with this tag. */
  all(tag) {
    return this.descendants().filter((element) => element.tag === tag);
  }
}

/** A class for each kind of HTML or SVG element. */
export class FakeHtmlElement extends FakeElement {}
export class FakeInput extends FakeHtmlElement {}
export class FakeSvgElement extends FakeElement {
  hidden = undefined; // in browsers only HTML elements have this property
}

/** A video without `requestVideoFrameCallback`. */
export class OldVideo extends FakeHtmlElement {
  readyState = 4;
  currentTime = 0;
  duration = 60;
  paused = false;
  seeking = false;
  ended = false;
  loop = false;
  playbackRate = 1;
  videoWidth = 320;
  videoHeight = 180;
  srcObject = null;
  src = "";
  currentSrc = "";
  crossOrigin = null;
  mediaKeys = null;
  grey = 0; // of all pixels on the screen
  tainted = false; // from another origin: may be shown, but not read
  loads = 0;

  constructor(properties = {}) {
    super("video");
    Object.assign(this, properties);
  }

  play() {
    this.paused = false;
    this.emit("play");
    return Promise.resolve();
  }

  pause() {
    this.paused = true;
    this.emit("pause");
  }

  load() {
    this.loads += 1;
  }
}

/** A video that announces its frames. */
export class FakeVideo extends OldVideo {
  #callbacks = new Map();
  #id = 0;
  presentedFrames = 0;

  requestVideoFrameCallback(callback) {
    this.#callbacks.set(++this.#id, callback);
    return this.#id;
  }

  cancelVideoFrameCallback(id) {
    this.#callbacks.delete(id);
  }

  /** Whether a callback waits for the next frame. */
  get watched() {
    return this.#callbacks.size > 0;
  }

  /** Announces a frame that is on the screen at `due`. */
  show(ms, due = clock.now) {
    this.currentTime = ms / 1000;
    this.presentedFrames += 1;
    const frame = { mediaTime: ms / 1000, expectedDisplayTime: due, presentedFrames: this.presentedFrames };
    const callbacks = [...this.#callbacks.values()];
    this.#callbacks.clear();
    for (const callback of callbacks) callback(clock.now, frame);
  }
}

/** A context that draws one grey level or a bitmap's pixels, and records what was drawn. */
export class FakeContext {
  drawings = [];

  constructor(canvas) {
    this.canvas = canvas;
  }

  drawImage(source, ...box) {
    this.source = source;
    this.drawings.push({ source, box });
  }

  getImageData(_x, _y, width, height) {
    if (this.source.tainted) throw new DOMException("the canvas has been tainted", "SecurityError");
    const { grey = 0, pixels, alpha = 255 } = this.source;
    const data = Uint8ClampedArray.from({ length: 4 * width * height }, (_, at) =>
      at % 4 === 3 ? alpha : (pixels?.[at >> 2] ?? grey),
    );
    return { data };
  }
}

/** Pending JPEG encodings; a test completes one with `encodings.shift()(blob)`. */
export const encodings = [];

export class FakeCanvas extends FakeHtmlElement {
  width = 300;
  height = 150;
  #context = new FakeContext(this);

  constructor() {
    super("canvas");
  }

  getContext() {
    return this.#context;
  }

  toBlob(done, type, quality) {
    encodings.push(Object.assign(done, { type, quality, width: this.width, height: this.height }));
  }
}

/** Bytes that `createImageBitmap` below reads as a picture of these grey pixels. */
export function encodePicture(width, height, paint) {
  const pixels = Array.from({ length: width * height }, (_, at) => paint(at % width, Math.floor(at / width)));
  return Uint8Array.of(width, height, ...pixels);
}

/** A WebSocket that a test opens, answers and closes. */
export class FakeSocket {
  static OPEN = 1;
  static all = [];
  readyState = 0;
  sent = [];

  constructor(url) {
    this.url = new URL(url);
    FakeSocket.all.push(this);
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  send(message) {
    this.sent.push(message);
  }

  close() {
    this.readyState = 2;
  }

  /** Closes the connection, by either side. */
  drop(reason = "", code = 1006) {
    this.readyState = 3;
    this.onclose({ reason, code });
  }

  /** Delivers one answer of a stream; `skipped` are the pts of frames that the server dropped. */
  answer({ pts, status = 200, flags = 0, coverage = 0, skipped = [], body = encodePicture(32, 18, () => 0), width = 32, height = 18 }) {
    const view = new DataView(new ArrayBuffer(56 + 8 * skipped.length + body.length));
    view.setUint8(5, flags);
    view.setUint16(6, status, true);
    view.setFloat64(8, pts, true);
    view.setUint16(16, width, true);
    view.setUint16(18, height, true);
    view.setFloat32(20, coverage, true);
    view.setUint32(48, skipped.length, true);
    skipped.forEach((ms, at) => view.setFloat64(56 + 8 * at, ms, true));
    new Uint8Array(view.buffer).set(body, 56 + 8 * skipped.length);
    this.onmessage({ data: view.buffer });
  }
}

/** An observer that reports sizes when a test triggers it. */
export class FakeResizeObserver {
  static all = [];
  elements = [];

  constructor(callback) {
    this.callback = callback;
    FakeResizeObserver.all.push(this);
  }

  observe(element) {
    this.elements.push(element);
  }

  disconnect() {
    this.elements = [];
  }

  /** Reports a new size of an observed element. */
  static notify(element) {
    for (const observer of FakeResizeObserver.all) if (observer.elements.includes(element)) observer.callback();
  }
}

/** A `localStorage`, which a test can make fail. */
export class FakeStorage {
  items = new Map();
  refuses = false;

  getItem(key) {
    if (this.refuses) throw new DOMException("storage is forbidden", "SecurityError");
    return this.items.get(key) ?? null;
  }

  setItem(key, value) {
    if (this.refuses) throw new DOMException("storage is full", "QuotaExceededError");
    this.items.set(key, value);
  }
}

class FakeDocument extends EventTarget {
  baseURI = "http://test/";
  body = new FakeHtmlElement("body");
  fullscreenElement = null;
  made = [];

  createElement(tag) {
    const made = tag === "canvas" ? new FakeCanvas() : tag === "video" ? new FakeVideo() : new (tag === "input" ? FakeInput : FakeHtmlElement)(tag);
    this.made.push(made);
    return made;
  }

  createElementNS(_space, tag) {
    return this.createElement(tag);
  }

  getElementById(id) {
    return this.querySelector(`#${id}`);
  }

  querySelector(selector) {
    return this.querySelectorAll(selector)[0] ?? null;
  }

  /** Elements that match `#id`, `[name=value]` and `:checked`. */
  querySelectorAll(selector) {
    const parts = [...selector.matchAll(/#([\w-]+)|\[(\w+)=(\w+)\]|:(checked)/g)];
    return this.body.descendants().filter((element) =>
      parts.every(([, id, name, value, checked]) => (id ? element.id === id : checked ? element.checked : element[name] === value)),
    );
  }

  exitFullscreen() {
    this.fullscreenElement = null;
  }
}

/** Computed styles of a video that fills its box. */
const STYLE = Object.fromEntries([
  ["objectFit", "contain"],
  ["objectPosition", "50% 50%"],
  ...["Left", "Top", "Right", "Bottom"].flatMap((side) => [[`border${side}Width`, "0px"], [`padding${side}`, "0px"]]),
]);

/** Installs the fake browser as globals and returns its document. */
export function installBrowser() {
  mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  Object.defineProperty(globalThis, "performance", { value: { now: () => clock.now }, configurable: true });
  const document = new FakeDocument();
  Object.assign(globalThis, {
    document,
    Element: FakeElement,
    HTMLElement: FakeHtmlElement,
    HTMLVideoElement: OldVideo,
    HTMLInputElement: FakeInput,
    SVGElement: FakeSvgElement,
    ResizeObserver: FakeResizeObserver,
    WebSocket: FakeSocket,
    OffscreenCanvas: class extends FakeCanvas {},
    getComputedStyle: (element) => ({ ...STYLE, ...element.computed }),
    requestAnimationFrame: (callback) => (repaints.set(++lastRepaint, callback), lastRepaint),
    cancelAnimationFrame: (id) => repaints.delete(id),
    createImageBitmap: async (blob) => {
      const [width, height, ...pixels] = new Uint8Array(await blob.arrayBuffer());
      return { width, height, pixels };
    },
  });
  return document;
}
