import assert from "node:assert/strict";
import { test } from "node:test";

import { growOutline } from "../../../service/danmatte/web/margin.js";

const square = { width: 80, height: 60, rings: [Float32Array.of(30, 20, 50, 20, 50, 40, 30, 40)] };

/** The area inside rings by the even-odd rule, counted on a fine grid, and their bounding box. */
function measure({ width, height, rings }) {
  const fine = 4;
  const [xs, ys] = [[], []];
  let area = 0;
  for (let row = 0; row < height * fine; row++) {
    const y = (row + 0.5) / fine;
    for (let column = 0; column < width * fine; column++) {
      const x = (column + 0.5) / fine;
      let inside = false;
      for (const ring of rings) {
        for (let at = 0; at < ring.length; at += 2) {
          const next = (at + 2) % ring.length;
          const [ax, ay, bx, by] = [ring[at], ring[at + 1], ring[next], ring[next + 1]];
          if (ay > y !== by > y && x < ax + ((y - ay) * (bx - ax)) / (by - ay)) inside = !inside;
        }
      }
      if (inside) [area] = [area + 1 / fine ** 2, xs.push(x), ys.push(y)];
    }
  }
  return { area, left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}

test("a margin of 0 returns the same outline", () => {
  assert.equal(growOutline(square, 0), square);
  assert.equal(growOutline(square, NaN), square);
  const empty = { width: 8, height: 6, rings: [] };
  assert.equal(growOutline(empty, 3), empty);
});

for (const distance of [1.5, 3, 6]) {
  test(`${distance} pixels are added on every side, with round corners`, () => {
    const { area, left, right, top, bottom } = measure(growOutline(square, distance));
    for (const [found, expected] of [[left, 30 - distance], [right, 50 + distance], [top, 20 - distance], [bottom, 40 + distance]]) {
      assert.ok(Math.abs(found - expected) <= 0.8, `${found} for ${expected}`);
    }
    const expected = 400 + 80 * distance + Math.PI * distance ** 2;
    assert.ok(Math.abs(area - expected) < 0.06 * expected, `${area} for ${expected}`);
  });
}

test("outlines of people near each other are merged", () => {
  const two = { ...square, rings: [Float32Array.of(10, 20, 30, 20, 30, 40, 10, 40), Float32Array.of(34, 20, 54, 20, 54, 40, 34, 40)] };
  assert.equal(growOutline(two, 3).rings.length, 1);
  assert.equal(growOutline(two, 1).rings.length, 2);
});

test("holes shrink and small ones close", () => {
  const hole = (size) => ({ ...square, rings: [...square.rings, Float32Array.of(40 - size, 30 - size, 40 - size, 30 + size, 40 + size, 30 + size, 40 + size, 30 - size)] });
  assert.equal(growOutline(hole(2), 3).rings.length, 1);
  assert.equal(growOutline(hole(8), 3).rings.length, 2);
});

test("an outline at the picture's edge stays inside", () => {
  const edge = { ...square, rings: [Float32Array.of(60, 0, 80, 0, 80, 60, 60, 60)] };
  const { left, right, top, bottom } = measure(growOutline(edge, 4));
  assert.ok(Math.abs(left - 56) < 0.8);
  assert.ok(right > 79.5 && top < 0.5 && bottom > 59.5);
});

test("an outline smaller than a pixel is kept", () => {
  const speck = { ...square, rings: [Float32Array.of(10.1, 10.1, 10.3, 10.1, 10.2, 10.3)] };
  assert.equal(growOutline(speck, 0.2), speck);
});
