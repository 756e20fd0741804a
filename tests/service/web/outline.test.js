import assert from "node:assert/strict";
import { test } from "node:test";

import { clipPath, holes, rounded, traced } from "../../../service/danmatte/web/outline.js";

/** Columns of a mask painted where `inside` says so. */
function painted(width, height, inside) {
  return Uint8Array.from({ length: width * height }, (_, at) => (inside(Math.floor(at / height), at % height) ? 1 : 0));
}

/** The outline of what is painted. */
function outlined(columns, width, height) {
  return rounded(traced(columns, width, height), width, height);
}

/** The area that rings enclose by the even-odd rule, when none crosses another and holes run the other way. */
function area(rings) {
  let sum = 0;
  for (const ring of rings) {
    for (let at = 0; at < ring.length; at += 2) {
      const next = (at + 2) % ring.length;
      sum += ring[at] * ring[next + 1] - ring[next] * ring[at + 1];
    }
  }
  return Math.abs(sum / 2);
}

test("an outline encloses what is painted", () => {
  const disc = painted(80, 60, (x, y) => Math.hypot(x - 40, y - 30) < 20);
  const { rings } = outlined(disc, 80, 60);
  assert.equal(rings.length, 1);
  assert.ok(Math.abs(area(rings) - Math.PI * 400) < 40, `${area(rings)}`);
});

test("a hole in the paint is a ring of its own", () => {
  const ring = painted(80, 60, (x, y) => Math.hypot(x - 40, y - 30) < 24 && Math.hypot(x - 40, y - 30) > 10);
  const { rings } = outlined(ring, 80, 60);
  assert.equal(rings.length, 2);
  assert.ok(Math.abs(area(rings) - Math.PI * 476) < 60, `${area(rings)}`);
});

test("paint at the picture's edge keeps to it", () => {
  const { rings } = outlined(painted(40, 30, (x, y) => x >= 20 && y >= 10), 40, 30);
  const points = rings[0];
  const [xs, ys] = [points.filter((_, at) => at % 2 === 0), points.filter((_, at) => at % 2 === 1)];
  assert.equal(Math.max(...xs), 40);
  assert.equal(Math.max(...ys), 30);
});

test("nothing painted gives no ring, all painted one around the picture", () => {
  assert.equal(outlined(painted(32, 18, () => false), 32, 18).rings.length, 0);
  const { rings } = outlined(painted(32, 18, () => true), 32, 18);
  assert.equal(rings.length, 1);
  assert.ok(Math.abs(area(rings) - 32 * 18) < 4);
});

test("specks are left out", () => {
  assert.equal(outlined(painted(32, 18, (x, y) => x === 5 && y === 5), 32, 18).rings.length, 0);
});

test("regions that touch at a corner are walked to their ends", () => {
  const board = painted(32, 32, (x, y) => (x >> 3) % 2 === (y >> 3) % 2);
  assert.equal(outlined(board, 32, 32).rings.length, 8);
});

test("a clip path goes around the layer, with the outline in the layer's pixels", () => {
  const outline = { width: 10, height: 10, rings: [Float32Array.of(1, 1, 2, 1, 2, 2)] };
  const place = { x: 100, y: 0, width: 200, height: 100, layerWidth: 400, layerHeight: 100 };
  assert.equal(holes(outline, place), "M120 10L140 10L140 20Z");
  assert.equal(clipPath(outline, place), 'path(evenodd, "M-400 -100H800V200H-400ZM120 10L140 10L140 20Z")');
});
