/** Where the video's picture lies within the comment layer: letterboxes, crops, borders, scaled pages. */

/**
 * @typedef {{x: number, y: number, width: number, height: number}} Box
 */

/**
 * The picture's place in the layer, in the layer's own CSS pixels.
 *
 * @param {HTMLVideoElement} video
 * @param {HTMLElement} layer
 * @returns {import("./outline.js").Place}
 */
export function measurePlace(video, layer) {
  const [outer, frame] = [video.getBoundingClientRect(), layer.getBoundingClientRect()];
  const style = getComputedStyle(video);
  /** @param {"Left" | "Right" | "Top" | "Bottom"} side */
  const inset = (side) => parseFloat(style[`border${side}Width`]) + parseFloat(style[`padding${side}`]) || 0;
  const [left, top] = [inset("Left"), inset("Top")];
  const box = {
    x: outer.x + left,
    y: outer.y + top,
    width: Math.max(0, outer.width - left - inset("Right")),
    height: Math.max(0, outer.height - top - inset("Bottom")),
  };
  const natural = { width: video.videoWidth || outer.width, height: video.videoHeight || outer.height };
  const picture = fitPicture(box, natural, style.objectFit, style.objectPosition);
  // A layer that is scaled by a transform has more or fewer pixels of its own than the screen shows.
  const [layerWidth, layerHeight] = [layer.offsetWidth || frame.width, layer.offsetHeight || frame.height];
  const [sx, sy] = [layerWidth / frame.width || 1, layerHeight / frame.height || 1];
  return {
    x: (picture.x - frame.x) * sx,
    y: (picture.y - frame.y) * sy,
    width: picture.width * sx,
    height: picture.height * sy,
    layerWidth,
    layerHeight,
  };
}

/**
 * CSS `object-fit` and `object-position`, computed as the browser does.
 *
 * @param {Box} box
 * @param {{width: number, height: number}} natural the picture's own size
 * @param {string} fit
 * @param {string} position as `getComputedStyle` gives it
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
  const [left, top] = position.split(" ");
  return {
    x: box.x + toOffset(left, box.width - width),
    y: box.y + toOffset(top, box.height - height),
    width,
    height,
  };
}

/**
 * `50%` is a share of the free space, `8px` is itself.
 *
 * @param {string | undefined} position
 * @param {number} free pixels
 */
function toOffset(position = "50%", free) {
  const value = parseFloat(position);
  if (Number.isNaN(value)) return free / 2;
  return position.endsWith("%") ? (free * value) / 100 : value;
}
