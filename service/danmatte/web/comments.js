/** A small comment engine for the demo page. Each lane has its own speed; the browser's compositor moves the comments. */

const LANES = 12;
const SHARE = 0.86; // of the layer's height that comments use
/** @type {[number, number]} range, in layer widths a second */
const SPEED = [0.1, 0.15];
/** @type {[number, number]} range between two comments of a lane, in layer widths */
const GAP = [0.05, 0.28];
const COLOURS = ["#ffe27a", "#8fe3ff", "#ffb3d1", "#b6f5a6"];
const COLOURED = 0.3; // share of comments that aren't white
const FEED_MS = 120;
const OWN_LANES = 6; // the viewer's own comments appear in one of this many first free lanes

/**
 * @typedef {object} Flight a moving comment
 * @property {Animation} animation
 * @property {number} from start position in pixels from the left
 * @property {number} size its width in pixels
 * @property {number} speed pixels in a second of the video
 */

/** @typedef {{top: number, speed: number, last: Flight | null, gap: number}} Lane */

/** Comments that move across an element. They pause and change speed with the video. */
export class Comments {
  /** @type {HTMLElement} */
  #layer;
  /** @type {string[]} */
  #texts;
  /** @type {() => number} */
  #random;
  /** @type {Lane[]} */
  #lanes = [];
  #running = false;
  #rate = 1;
  #next = 0;
  /** @type {string[]} */
  #queue = [];

  /**
   * @param {HTMLElement} layer
   * @param {string[]} texts shown one after another, repeatedly
   * @param {() => number} random returns numbers from 0 to 1
   */
  constructor(layer, texts, random = Math.random) {
    [this.#layer, this.#texts, this.#random] = [layer, texts, random];
    new ResizeObserver(() => this.fill()).observe(layer);
    setInterval(() => this.#feed(), FEED_MS);
  }

  /** Replaces all comments, with lanes as full as after playing for a while. */
  fill() {
    this.#layer.replaceChildren();
    const [width, height] = [this.#layer.clientWidth, this.#layer.clientHeight];
    if (!width) return;
    this.#lanes = Array.from({ length: LANES }, (_, row) => ({
      top: ((row + 0.25) * SHARE * height) / LANES,
      speed: width * this.#pick(SPEED),
      last: null,
      gap: 0,
    }));
    for (const lane of this.#lanes) {
      let x = -width * this.#random() * 0.2;
      while (x < width * 1.02) {
        x += this.#fly(lane, this.#takeText(), x);
        lane.gap = width * this.#pick(GAP);
        x += lane.gap;
      }
    }
  }

  /**
   * Adds a comment of the viewer, which is shown as soon as a lane is free.
   *
   * @param {string} words
   */
  say(words) {
    this.#queue.push(words);
  }

  /**
   * Adopts the state of the video.
   *
   * @param {boolean} running whether it plays
   * @param {number} rate playback rate
   */
  setPace(running, rate) {
    [this.#running, this.#rate] = [running, rate];
    for (const animation of this.#layer.getAnimations({ subtree: true })) this.#steer(animation);
  }

  #takeText() {
    return this.#texts[this.#next++ % this.#texts.length];
  }

  /** @param {[number, number]} range */
  #pick([low, high]) {
    return low + (high - low) * this.#random();
  }

  /** Starts a comment in every lane whose last comment is completely inside the layer. */
  #feed() {
    if (!this.#running) return;
    const width = this.#layer.clientWidth;
    const free = this.#lanes.filter(({ last, gap }) => {
      if (!last) return true;
      const end = last.from + last.size - (last.speed * Number(last.animation.currentTime ?? 0)) / 1000;
      return end + gap < width;
    });
    const own = free[Math.floor(this.#random() * Math.min(free.length, OWN_LANES))];
    for (const lane of free) {
      const words = lane === own ? this.#queue.shift() : undefined;
      this.#fly(lane, words ?? this.#takeText(), width, words !== undefined);
      lane.gap = width * this.#pick(GAP);
    }
  }

  /**
   * Starts a comment and returns its width in pixels.
   *
   * @param {Lane} lane
   * @param {string} text
   * @param {number} from start position in pixels from the left
   * @param {boolean} own whether it is the viewer's
   */
  #fly(lane, text, from, own = false) {
    const span = Object.assign(document.createElement("span"), { textContent: text, className: own ? "own" : "" });
    span.style.top = `${lane.top}px`;
    if (!own && this.#random() < COLOURED) span.style.color = COLOURS[Math.floor(this.#random() * COLOURS.length)];
    this.#layer.append(span);
    const size = span.offsetWidth;
    if (from + size <= 0) {
      span.remove();
      return size;
    }
    const animation = span.animate(
      { transform: [`translateX(${from}px)`, `translateX(${-size}px)`] },
      { duration: (1000 * (from + size)) / lane.speed, fill: "both" },
    );
    animation.onfinish = () => span.remove();
    this.#steer(animation);
    lane.last = { animation, from, size, speed: lane.speed };
    return size;
  }

  /** @param {Animation} animation */
  #steer(animation) {
    animation.playbackRate = this.#rate;
    if (this.#running) animation.play();
    else animation.pause();
  }
}
