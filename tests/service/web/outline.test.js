import assert from "node:assert/strict";
import { test } from "node:test";

import { roundRings, Shape, toClipPath, toPathData, traceRings } from "../../../service/danmatte/web/outline.js";

/** Columns of a mask painted where `inside` says so. */
function paint(width, height, inside) {
  return Uint8Array.from({ length: width * height }, (_, at) => (inside(Math.floor(at / height), at % height) ? 1 : 0));
}

/** The outline of the painted pixels. */
function trace(columns, width, height) {
  return roundRings(traceRings(columns, width, height), width, height);
}

/** The area inside rings by the even-odd rule, if no rings cross and holes run in the opposite direction. */
function measureArea(rings) {
  let sum = 0;
  for (const ring of rings) {
    for (let at = 0; at < ring.length; at += 2) {
      const next = (at + 2) % ring.length;
      sum += ring[at] * ring[next + 1] - ring[next] * ring[at + 1];
    }
  }
  return Math.abs(sum / 2);
}

test("an outline encloses the painted area", () => {
  const disc = paint(80, 60, (x, y) => Math.hypot(x - 40, y - 30) < 20);
  const { rings } = trace(disc, 80, 60);
  assert.equal(rings.length, 1);
  assert.ok(Math.abs(measureArea(rings) - Math.PI * 400) < 40, `${measureArea(rings)}`);
});

test("a hole in the painted area is a separate ring", () => {
  const ring = paint(80, 60, (x, y) => Math.hypot(x - 40, y - 30) < 24 && Math.hypot(x - 40, y - 30) > 10);
  const { rings } = trace(ring, 80, 60);
  assert.equal(rings.length, 2);
  assert.ok(Math.abs(measureArea(rings) - Math.PI * 476) < 60, `${measureArea(rings)}`);
});

test("an outline at the picture's edge stays on it", () => {
  const { rings } = trace(paint(40, 30, (x, y) => x >= 20 && y >= 10), 40, 30);
  const points = rings[0];
  const [xs, ys] = [points.filter((_, at) => at % 2 === 0), points.filter((_, at) => at % 2 === 1)];
  assert.equal(Math.max(...xs), 40);
  assert.equal(Math.max(...ys), 30);
});

test("an empty mask has no ring, a full one has a ring around the picture", () => {
  assert.equal(trace(paint(32, 18, () => false), 32, 18).rings.length, 0);
  const { rings } = trace(paint(32, 18, () => true), 32, 18);
  assert.equal(rings.length, 1);
  assert.ok(Math.abs(measureArea(rings) - 32 * 18) < 4);
});

test("specks have no outline", () => {
  assert.equal(trace(paint(32, 18, (x, y) => x === 5 && y === 5), 32, 18).rings.length, 0);
});

test("regions that touch at a corner have separate rings", () => {
  const board = paint(32, 32, (x, y) => (x >> 3) % 2 === (y >> 3) % 2);
  assert.equal(trace(board, 32, 32).rings.length, 8);
});

test("a clip path goes around the layer, with the outline in the layer's pixels", () => {
  const outline = { width: 10, height: 10, rings: [Float32Array.of(1, 1, 2, 1, 2, 2)] };
  const place = { matrix: [200, 0, 0, 100, 100, 0], layerWidth: 400, layerHeight: 100 };
  assert.equal(toPathData(outline, place), "M120 10L140 10L140 20Z");
  assert.equal(toClipPath(outline, place), 'path(evenodd, "M-400 -100H800V200H-400ZM120 10L140 10L140 20Z")');
});

test("the clip path of a layer without height includes the picture", () => {
  const outline = { width: 10, height: 10, rings: [Float32Array.of(1, 1, 2, 1, 2, 2)] };
  assert.match(toClipPath(outline, { matrix: [200, 0, 0, 100, 0, 0], layerWidth: 200, layerHeight: 0 }), /"M-200 -100H400V200H-200Z/);
});

test("the ring of one pixel goes around it clockwise", () => {
  assert.deepEqual(traceRings(paint(4, 4, (x, y) => x === 1 && y === 2), 4, 4), [[1.5, 2, 2, 2.5, 1.5, 3, 1, 2.5]]);
});

test("the ring of a hole runs in the opposite direction", () => {
  const rings = traceRings(paint(3, 3, (x, y) => x !== 1 || y !== 1), 3, 3);
  assert.deepEqual(rings.map((ring) => ring.length / 2).sort((one, other) => one - other), [4, 12]);
  const turn = (ring) => ring.reduce((sum, value, at) => sum + (at % 2 ? 0 : value * ring[(at + 3) % ring.length] - ring[(at + 2) % ring.length] * ring[at + 1]), 0);
  assert.ok(turn(rings[0]) * turn(rings[1]) < 0);
});

test("rings contain exactly the painted pixels", () => {
  const [width, height] = [24, 17];
  for (let seed = 1; seed <= 20; seed++) {
    let state = seed;
    const columns = Uint8Array.from({ length: width * height }, () => ((state = (state * 16_807) % 2_147_483_647) % 5 < 3 ? 1 : 0));
    const crossings = new Uint8Array((width + 1) * height); // by vertical steps, as the format's reader counts them
    for (const ring of traceRings(columns, width, height)) {
      for (let at = 0; at < ring.length; at += 2) if (ring[at] % 1 === 0) crossings[ring[at] * height + Math.floor(ring[at + 1])] ^= 1;
    }
    for (let x = 0; x < width; x++) {
      for (let y = 0; y < height; y++) {
        if (x) crossings[x * height + y] ^= crossings[(x - 1) * height + y];
        assert.equal(crossings[x * height + y], columns[x * height + y], `${x}, ${y} of ${seed}`);
      }
    }
  }
});

test("stair steps of a diagonal are smoothed to a line", () => {
  const { rings } = trace(paint(60, 60, (x, y) => x + y > 60), 60, 60);
  const inner = [];
  for (let at = 0; at < rings[0].length; at += 2) {
    const [x, y] = [rings[0][at], rings[0][at + 1]];
    if (x > 6 && x < 54 && y > 6 && y < 54) inner.push(Math.abs(x + y - 61.5) / Math.SQRT2);
  }
  assert.ok(inner.length > 4);
  assert.ok(Math.max(...inner) < 0.1, `${inner}`);
});

test("straight lines have few points at a limited distance", () => {
  const { rings } = trace(paint(100, 100, (x, y) => x >= 10 && x < 90 && y >= 10 && y < 90), 100, 100);
  assert.ok(rings[0].length / 2 < 80, `${rings[0].length / 2} points for 320 edges`);
  for (let at = 2; at < rings[0].length; at += 2) {
    assert.ok(Math.hypot(rings[0][at] - rings[0][at - 2], rings[0][at + 1] - rings[0][at - 1]) < 8);
  }
});

test("an outline that touches the edge reaches it exactly", () => {
  const { rings } = trace(paint(40, 30, (x, y) => x >= 30 && y >= 5 && y < 25), 40, 30);
  const onEdge = rings[0].filter((value, at) => at % 2 === 0 && value === 40).length;
  assert.ok(onEdge >= 2);
  assert.ok(rings[0].every((value, at) => at % 2 || value <= 40));
});

test("rings with fewer than twelve edges are left out", () => {
  const ring = (edges) => Array.from({ length: 2 * edges }, (_, at) => 10 + (at % 2 ? Math.sin : Math.cos)((Math.PI * (at >> 1)) / edges));
  assert.equal(roundRings([ring(11), ring(12)], 20, 20).rings.length, 1);
});

test("the outline of a shape is computed on first use and only once", () => {
  let reads = 0;
  const shape = new Shape(32, 18, () => {
    reads += 1;
    return traceRings(paint(32, 18, (x) => x > 10 && x < 20), 32, 18);
  });
  assert.equal(reads, 0);
  const { outline } = shape;
  assert.equal(shape.outline, outline);
  assert.equal(reads, 1);
  assert.deepEqual([outline.width, outline.height, outline.rings.length], [32, 18, 1]);
});

test("several rings become several subpaths in tenths of a pixel", () => {
  const outline = { width: 3, height: 3, rings: [Float32Array.of(0, 0, 1, 0, 1, 1), Float32Array.of(2, 2, 3, 2, 3, 3)] };
  const place = { matrix: [10, 0, 0, 10, -1, 0.26], layerWidth: 10.5, layerHeight: 10 };
  assert.equal(toPathData(outline, place), "M-1 0.3L2.3 0.3L2.3 3.6ZM5.7 6.9L9 6.9L9 10.3Z");
  assert.match(toClipPath(outline, place), /^path\(evenodd, "M-11 -11H22V22H-11Z/);
});

test("the outline is mirrored or rotated with the picture", () => {
  const outline = { width: 2, height: 1, rings: [Float32Array.of(0, 0, 1, 0, 1, 1)] };
  assert.equal(toPathData(outline, { matrix: [-20, 0, 0, 10, 20, 0], layerWidth: 20, layerHeight: 10 }), "M20 0L10 0L10 10Z");
  assert.equal(toPathData(outline, { matrix: [0, 20, -10, 0, 10, 0], layerWidth: 10, layerHeight: 20 }), "M10 0L10 10L0 10Z");
});

test("an empty outline is an empty path", () => {
  assert.equal(toPathData({ width: 3, height: 3, rings: [] }, { matrix: [9, 0, 0, 9, 0, 0], layerWidth: 9, layerHeight: 9 }), "");
});
