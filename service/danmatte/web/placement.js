/** The place of the video's picture within the comment layer, with letterboxes, crops, borders and transforms. */

import { invert, measureFrame, multiply } from "./transforms.js";

/**
 * @typedef {{x: number, y: number, width: number, height: number}} Box
 */

const LENGTH = /calc\([^()]*\)|\w+\(.*?\)|[^\s()]+/g; // one part of a position: a length or a sum of lengths
const TERM = /([+-]?)\s*(\d*\.?\d+(?:e[+-]?\d+)?)(px|%)/g;
const SUM = /^\s*[+-]?\s*\d*\.?\d+(e[+-]?\d+)?(px|%)(\s*[+-]\s*\d*\.?\d+(e[+-]?\d+)?(px|%))*\s*$/;

/**
 * The picture's place in the layer, in CSS pixels of the layer, with all transforms of both elements applied.
 *
 * @param {HTMLVideoElement} video
 * @param {HTMLElement} layer
 * @param {import("./transforms.js").Matrix | null} [stored] from the film's picture to the video's, if they differ
 * @returns {import("./outline.js").Place}
 */
export function measurePlace(video, layer, stored = null) {
  const [outer, frame] = [measureFrame(video), measureFrame(layer)];
  const style = getComputedStyle(video);
  /** @param {"Left" | "Right" | "Top" | "Bottom"} side */
  const inset = (side) => parseFloat(style[`border${side}Width`]) + parseFloat(style[`padding${side}`]) || 0;
  const [left, top] = [inset("Left"), inset("Top")];
  const box = {
    x: left,
    y: top,
    width: Math.max(0, outer.width - left - inset("Right")),
    height: Math.max(0, outer.height - top - inset("Bottom")),
  };
  const natural = { width: video.videoWidth || outer.width, height: video.videoHeight || outer.height };
  const { x, y, width, height } = fitPicture(box, natural, style.objectFit, style.objectPosition);
  const onScreen = multiply(outer.matrix, [width, 0, 0, height, x, y]);
  const back = invert(frame.matrix) ?? [1, 0, 0, 1, -frame.matrix[4], -frame.matrix[5]];
  const matrix = multiply(back, stored ? multiply(onScreen, stored) : onScreen);
  return { matrix, layerWidth: frame.width, layerHeight: frame.height };
}

/**
 * Whether two places are equal.
 *
 * @param {import("./outline.js").Place} one
 * @param {import("./outline.js").Place} other
 */
export function isSamePlace(one, other) {
  const isSameSize = one.layerWidth === other.layerWidth && one.layerHeight === other.layerHeight;
  return isSameSize && one.matrix.every((value, at) => value === other.matrix[at]);
}

/**
 * Computes CSS `object-fit` and `object-position` as the browser does.
 *
 * @param {Box} box
 * @param {{width: number, height: number}} natural the picture's intrinsic size
 * @param {string} fit
 * @param {string} position as returned by `getComputedStyle`
 * @returns {Box}
 */
export function fitPicture(box, natural, fit, position) {
  if (fit === "fill" || !natural.width || !natural.height) return box;
  const ratios = [box.width / natural.width, box.height / natural.height];
  /** @type {Record<string, number>} */
  const scales = {
    contain: Math.min(...ratios),
    cover: Math.max(...ratios),
    none: 1,
    "scale-down": Math.min(1, ...ratios),
  };
  const scale = scales[fit] ?? scales.contain;
  const [width, height] = [natural.width * scale, natural.height * scale];
  const [left, top] = position.match(LENGTH) ?? [];
  return {
    x: box.x + toOffset(left, box.width - width),
    y: box.y + toOffset(top, box.height - height),
    width,
    height,
  };
}

/**
 * The offset in pixels. `50%` is a share of the free space, `8px` a length, and browsers compute `right 8px` to `calc(100% - 8px)`.
 *
 * @param {string | undefined} position
 * @param {number} free pixels
 */
function toOffset(position = "50%", free) {
  const terms = /^calc\(/.test(position) ? position.slice(5, -1) : position;
  if (!SUM.test(terms)) return free / 2;
  const offsets = Array.from(terms.matchAll(TERM), ([, sign, size, unit]) => Number(`${sign}${size}`) * (unit === "%" ? free / 100 : 1));
  return offsets.reduce((sum, offset) => sum + offset, 0);
}
