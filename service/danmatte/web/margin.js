/** Outlines with a margin: they also contain all points within a distance of the person. */

import { roundRings, traceRings } from "./outline.js";

/**
 * The outline of all points that are inside of an outline or within a distance of it. Corners become round.
 *
 * The area is painted in the mask's pixels, column by column, and traced again. In this way outlines that touch are merged, which
 * moving their points outwards wouldn't do.
 *
 * @param {import("./outline.js").Outline} outline
 * @param {number} distance in the mask's pixels
 * @returns {import("./outline.js").Outline}
 */
export function growOutline(outline, distance) {
  const { width, height, rings } = outline;
  if (!(distance > 0) || !rings.length) return outline;
  const runs = findRuns(rings, width);
  const columns = new Uint8Array(width * height);
  const reach = Math.floor(distance + 0.5);
  for (let x = 0; x < width; x++) {
    for (let step = -reach; step <= reach; step++) {
      const along = runs[x + step];
      if (!along) continue;
      const away = Math.max(0, Math.abs(step) - 0.5); // horizontal distance to the edge of that column
      const more = Math.sqrt(distance * distance - away * away); // half of the chord that a disc has in this column
      for (let at = 0; at + 1 < along.length; at += 2) {
        // Paint a pixel if its centre is inside.
        const top = Math.max(0, Math.ceil(along[at] - more - 0.5));
        const end = Math.min(height, Math.ceil(along[at + 1] + more - 0.5));
        if (end > top) columns.fill(1, x * height + top, x * height + end);
      }
    }
  }
  const grown = roundRings(traceRings(columns, width, height), width, height);
  return grown.rings.length ? grown : outline; // very small rings are left out as noise; then keep the original outline
}

/**
 * The parts of each column's centre line that are inside the rings, by the even-odd rule.
 *
 * @param {Float32Array[]} rings
 * @param {number} width
 * @returns {number[][]} for each column, from the top, the heights where its centre line enters and leaves the rings
 */
function findRuns(rings, width) {
  const runs = Array.from({ length: width }, () => /** @type {number[]} */ ([]));
  for (const ring of rings) {
    for (let at = 0; at < ring.length; at += 2) {
      const next = (at + 2) % ring.length;
      const [ax, ay, bx, by] = [ring[at], ring[at + 1], ring[next], ring[next + 1]];
      const slope = (by - ay) / (bx - ax);
      const end = Math.ceil(Math.max(ax, bx) - 0.5);
      for (let x = Math.max(0, Math.ceil(Math.min(ax, bx) - 0.5)); x < Math.min(end, width); x++) {
        runs[x].push(ay + slope * (x + 0.5 - ax));
      }
    }
  }
  for (const run of runs) run.sort((one, other) => one - other);
  return runs;
}
