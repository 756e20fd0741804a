/** CSS transforms of an element and its ancestors, as one matrix from the element's pixels to the window's. */

/** @typedef {readonly [a: number, b: number, c: number, d: number, e: number, f: number]} Matrix as in CSS's `matrix()` */

/** @typedef {number[]} Turn the linear part of a 3D transform, without translation: three rows of three numbers */

/** @typedef {{matrix: Matrix, width: number, height: number}} Frame a border box: size before transforms, and matrix to the window */

const ELEMENT = 1; // `Node.ELEMENT_NODE`
const TOP_LAYER = [":fullscreen", ":modal", ":popover-open"].filter((name) => globalThis.CSS?.supports(`selector(${name})`)).join();
const STILL = [1, 0, 0, 0, 1, 0, 0, 0, 1];
const DEGREES = { deg: 1, grad: 0.9, rad: 180 / Math.PI, turn: 360 };

/**
 * The matrix that applies `second` after `first`.
 *
 * @param {Matrix} second
 * @param {Matrix} first
 * @returns {Matrix}
 */
export function multiply([a, b, c, d, e, f], [p, q, r, s, t, u]) {
  return [a * p + c * q, b * p + d * q, a * r + c * s, b * r + d * s, a * t + c * u + e, b * t + d * u + f];
}

/**
 * The inverse matrix; null if the matrix maps everything to a line or a point.
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
 * An element's border box: its size, and the matrix that maps its points to the window.
 *
 * The linear part of the matrix comes from the transforms of the element and its ancestors, the position from
 * `getBoundingClientRect`. So transform origins, scrolling and borders don't have to be computed.
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
    // Something other than a transform scales it, such as `zoom`.
    const [kx, ky] = [box.width / wide || 1, box.height / high || 1];
    [a, c, b, d] = [a * kx, c * kx, b * ky, d * ky];
  } else if (!b && !c && a && d) {
    [width, height] = [box.width / Math.abs(a), box.height / Math.abs(d)]; // `offsetWidth` is rounded, the layout isn't
  } else if (!a && !d && b && c) {
    [width, height] = [box.height / Math.abs(b), box.width / Math.abs(c)];
  }
  const x = box.x - Math.min(0, a * width) - Math.min(0, c * height);
  const y = box.y - Math.min(0, b * width) - Math.min(0, d * height);
  return { matrix: [a, b, c, d, x, y], width, height };
}

/**
 * The combined transforms of an element and its ancestors, up to one in the top layer, such as a full-screen element.
 *
 * @param {Element} element
 * @returns {Turn}
 */
function readTurn(element) {
  let whole = STILL;
  for (let at = element; at; ) {
    const { display, transform, rotate, scale, transformStyle } = getComputedStyle(at);
    if (transformStyle !== "preserve-3d") whole = [...whole.slice(0, 6), 0, 0, 1]; // its content is flattened into its plane
    if (display !== "contents") {
      whole = multiplyTurns(multiplyTurns(readRotate(rotate), readScale(scale)), multiplyTurns(readTransform(transform), whole));
    }
    if (isOnTop(at)) break; // transforms of its ancestors have no effect
    const parent = at.assignedSlot ?? at.parentNode;
    // The node may belong to another window, so `instanceof` doesn't work.
    at = /** @type {Element} */ (parent?.nodeType === ELEMENT ? parent : /** @type {ShadowRoot | null} */ (parent)?.host);
  }
  return whole;
}

/**
 * Whether an element is in the top layer: in full screen, a modal dialog or a popover.
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
 * @param {string | undefined} value of `transform`, which browsers resolve to a matrix
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
 * @param {string | undefined} value of `rotate`: an angle, preceded by an axis unless that is the z-axis
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
