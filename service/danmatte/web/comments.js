/** A small comment engine for the demo page: lanes, each with its own pace, moved by the compositor. */

const LINES = 12;
const SHARE = 0.86; // of the height that comments use
const PACE = [0.1, 0.15]; // of the width, in a second
const GAP = [0.05, 0.28]; // of the width, between two comments of a lane

/** Comments flowing over an element, paused and paced like the video under them. */
export class Comments {
  #layer;
  #texts;
  #lanes = [];
  #running = false;
  #rate = 1;
  #next = 0;
  #queue = [];

  /**
   * @param {HTMLElement} layer
   * @param {string[]} texts said in turn
   * @param {() => number} chance 0 to 1
   */
  constructor(layer, texts, chance = Math.random) {
    [this.#layer, this.#texts, this.chance] = [layer, texts, chance];
    new ResizeObserver(() => this.fill()).observe(layer);
    setInterval(() => this.#feed(), 120);
  }

  /** Everything anew, as if it had been flowing for long. */
  fill() {
    this.#layer.replaceChildren();
    const [width, height] = [this.#layer.clientWidth, this.#layer.clientHeight];
    if (!width) return;
    this.#lanes = Array.from({ length: LINES }, (_, row) => ({
      top: ((row + 0.25) * SHARE * height) / LINES,
      pace: width * this.#between(PACE),
      last: null,
      gap: 0,
    }));
    for (const lane of this.#lanes) {
      for (let x = -width * this.chance() * 0.2; x < width * 1.02; ) x += this.#fly(lane, this.#text(), x) + this.#gap(lane);
    }
  }

  /** A comment of the viewer's own, at the next chance. */
  say(words) {
    this.#queue.push(words);
  }

  /** @param {boolean} running  @param {number} rate of the video */
  pace(running, rate) {
    [this.#running, this.#rate] = [running, rate];
    for (const flight of this.#layer.getAnimations({ subtree: true })) this.#steer(flight);
  }

  #text() {
    return this.#texts[this.#next++ % this.#texts.length];
  }

  #between([low, high]) {
    return low + (high - low) * this.chance();
  }

  #gap(lane) {
    lane.gap = this.#layer.clientWidth * this.#between(GAP);
    return lane.gap;
  }

  /** Fills the lanes whose last comment is wholly in. */
  #feed() {
    if (!this.#running) return;
    const width = this.#layer.clientWidth;
    const free = this.#lanes.filter((lane) => !lane.last || this.#tail(lane.last) + lane.gap < width);
    const own = free[Math.floor(this.chance() * Math.min(free.length, 6))];
    for (const lane of free) {
      const words = lane === own ? this.#queue.shift() : undefined;
      this.#fly(lane, words ?? this.#text(), width, words !== undefined);
      this.#gap(lane);
    }
  }

  /** Where a comment's end is, in pixels from the left. */
  #tail({ flight, from, size, pace }) {
    return from + size - (pace * Number(flight.currentTime ?? 0)) / 1000;
  }

  /** Starts a comment at `from`; answers with its width. */
  #fly(lane, text, from, own = false) {
    const span = Object.assign(document.createElement("span"), { textContent: text, className: own ? "own" : "" });
    span.style.top = `${lane.top}px`;
    if (!own && this.chance() < 0.3) span.style.color = ["#ffe27a", "#8fe3ff", "#ffb3d1", "#b6f5a6"][Math.floor(this.chance() * 4)];
    this.#layer.append(span);
    const size = span.offsetWidth;
    if (from + size <= 0) {
      span.remove();
      return size;
    }
    const flight = span.animate(
      { transform: [`translateX(${from}px)`, `translateX(${-size}px)`] },
      { duration: (1000 * (from + size)) / lane.pace, fill: "both" },
    );
    flight.onfinish = () => span.remove();
    this.#steer(flight);
    lane.last = { flight, from, size, pace: lane.pace };
    return size;
  }

  #steer(flight) {
    flight.playbackRate = this.#rate;
    if (this.#running) flight.play();
    else flight.pause();
  }
}
