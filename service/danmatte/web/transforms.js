/** CSS transforms of an element and of all around it, as one matrix from the element's own pixels to the window's. */

/** @typedef {readonly [a: number, b: number, c: number, d: number, e: number, f: number]} Matrix as in CSS's `matrix()` */

/** @typedef {number[]} Turn three rows of three numbers: what a transform does to directions in space, its shift left out */

/** @typedef {{matrix: Matrix, width: number, height: number}} Frame an element's border box, in its own pixels */

const ELEMENT = 1; // a node's type
const TOP_LAYER = [":fullscreen", ":modal", ":popover-open"].filter((name) => globalThis.CSS?.supports(`selector(${name})`)).join();
const STILL = [1, 0, 0, 0, 1, 0, 0, 0, 1];
const DEGREES = { deg: 1, grad: 0.9, rad: 180 / Math.PI, turn: 360 };

/**
 * The matrix that does the second thing after the first.
 *
 * @param {Matrix} second
 * @param {Matrix} first
 * @returns {Matrix}
 */
export function multiply([a, b, c, d, e, f], [p, q, r, s, t, u]) {
  return [a * p + c * q, b * p + d * q, a * r + c * s, b * r + d * s, a * t + c * u + e, b * t + d * u + f];
}

/**
 * The matrix back; null where everything was pressed into a line.
 *
 * @param {Matrix} matrix
 * @returns {Matrix | null}
 */
export function invert([a, b, c, d, e, f]) {
  const area = a * d - b * c;
  if (!area) return null;
  return [d / area, -b / area, -c / area, a / area, (c * f - d * e) / area, (b * e - a * f) / area];
}

/**
 * An element's border box: its own size, and where each of its points is in the window.
 *
 * Directions come from the transforms of the element and its ancestors, the place from the box that the browser tells.
 * So origins, scrolling and borders need no reckoning of our own.
 *
 * @param {HTMLElement} element
 * @returns {Frame}
 */
export function measureFrame(element) {
  const box = element.getBoundingClientRect();
  let [width, height] = [element.offsetWidth || box.width, element.offsetHeight || box.height];
  let [a, c, , b, d] = readTurn(element);
  const [wide, high] = [Math.abs(a) * width + Math.abs(c) * height, Math.abs(b) * width + Math.abs(d) * height];
  const isRounded = Math.abs(box.width - wide) <= Math.abs(a) + Math.abs(c) && Math.abs(box.height - high) <= Math.abs(b) + Math.abs(d);
  if (!isRounded) {
    // Something else makes it larger or smaller, such as `zoom`.
    const [kx, ky] = [box.width / wide || 1, box.height / high || 1];
    [a, c, b, d] = [a * kx, c * kx, b * ky, d * ky];
  } else if (!b && !c && a && d) {
    [width, height] = [box.width / Math.abs(a), box.height / Math.abs(d)]; // layouts have parts of pixels
  } else if (!a && !d && b && c) {
    [width, height] = [box.height / Math.abs(b), box.width / Math.abs(c)];
  }
  const x = box.x - Math.min(0, a * width) - Math.min(0, c * height);
  const y = box.y - Math.min(0, b * width) - Math.min(0, d * height);
  return { matrix: [a, b, c, d, x, y], width, height };
}

/**
 * What the transforms of an element and its ancestors do together, up to the one that fills the screen.
 *
 * @param {Element} element
 * @returns {Turn}
 */
function readTurn(element) {
  let whole = STILL;
  for (let at = element; at; ) {
    const { display, transform, rotate, scale, transformStyle } = getComputedStyle(at);
    if (transformStyle !== "preserve-3d") whole = [...whole.slice(0, 6), 0, 0, 1]; // what it holds is pressed flat
    if (display !== "contents") {
      whole = multiplyTurns(multiplyTurns(readRotate(rotate), readScale(scale)), multiplyTurns(readTransform(transform), whole));
    }
    if (isOnTop(at)) break; // what is around it has no effect
    const parent = at.assignedSlot ?? at.parentNode;
    // Its elements may be another window's, so classes tell nothing.
    at = /** @type {Element} */ (parent?.nodeType === ELEMENT ? parent : /** @type {ShadowRoot | null} */ (parent)?.host);
  }
  return whole;
}

/**
 * Whether an element is shown over the whole page: full screen, in a modal dialog, as a popover.
 *
 * @param {Element} element
 */
function isOnTop(element) {
  return element === document.fullscreenElement || (TOP_LAYER !== "" && element.matches(TOP_LAYER));
}

/** @type {(one: Turn, other: Turn) => Turn} */
const multiplyTurns = (one, other) =>
  one === STILL ? other : other === STILL ? one : STILL.map((_, at) => [0, 1, 2].reduce((sum, k) => sum + one[at - (at % 3) + k] * other[3 * k + (at % 3)], 0));

/**
 * @param {string | undefined} value of `transform`, which browsers compute to a matrix
 * @returns {Turn}
 */
function readTransform(value) {
  const numbers = value?.match(/\(([^)]*)\)/)?.[1].split(",").map(Number) ?? [];
  if (numbers.length === 16) return [0, 1, 2].flatMap((row) => [0, 4, 8].map((column) => numbers[row + column]));
  if (numbers.length !== 6) return STILL;
  const [a, b, c, d] = numbers;
  return [a, c, 0, b, d, 0, 0, 0, 1];
}

/**
 * @param {string | undefined} value of `scale`: one to three numbers
 * @returns {Turn}
 */
function readScale(value) {
  const [x, y = x, z = 1] = value?.match(/-?[\d.]+(e-?\d+)?/g)?.map(Number) ?? [];
  return x === undefined ? STILL : [x, 0, 0, 0, y, 0, 0, 0, z];
}

/**
 * @param {string | undefined} value of `rotate`: an angle, after an axis unless it is that of the screen
 * @returns {Turn}
 */
function readRotate(value) {
  const [, axis, size, unit] = value?.match(/^(.*?)\s*(-?[\d.]+(?:e-?\d+)?)(deg|grad|rad|turn)$/) ?? [];
  if (!unit) return STILL;
  const named = { x: [1, 0, 0], y: [0, 1, 0], z: [0, 0, 1], "": [0, 0, 1] };
  const direction = named[/** @type {keyof typeof named} */ (axis)] ?? axis.split(/\s+/).map(Number);
  const long = Math.hypot(...direction) || 1;
  const [x, y, z] = direction.map((part) => part / long);
  const angle = (Number(size) * DEGREES[/** @type {keyof typeof DEGREES} */ (unit)] * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const rest = 1 - cos;
  return [
    ...[cos + x * x * rest, x * y * rest - z * sin, x * z * rest + y * sin],
    ...[y * x * rest + z * sin, cos + y * y * rest, y * z * rest - x * sin],
    ...[z * x * rest - y * sin, z * y * rest + x * sin, cos + z * z * rest],
  ];
}
