import assert from "node:assert/strict";
import { test } from "node:test";

import { fitted } from "../../../service/danmatte/web/placement.js";

const box = { x: 10, y: 20, width: 400, height: 400 };
const film = { width: 1600, height: 900 };

test("contain leaves bars above and below", () => {
  assert.deepEqual(fitted(box, film, "contain", "50% 50%"), { x: 10, y: 107.5, width: 400, height: 225 });
});

test("cover crops at the sides", () => {
  const { x, width, height } = fitted(box, film, "cover", "50% 50%");
  assert.equal(height, 400);
  assert.ok(Math.abs(width - 711.1) < 0.1);
  assert.ok(Math.abs(x - (10 - 155.55)) < 0.1);
});

test("fill stretches", () => {
  assert.deepEqual(fitted(box, film, "fill", "50% 50%"), box);
});

test("none and scale-down keep a small picture's size", () => {
  const small = { width: 100, height: 50 };
  const own = { x: 160, y: 195, width: 100, height: 50 };
  assert.deepEqual(fitted(box, small, "none", "50% 50%"), own);
  assert.deepEqual(fitted(box, small, "scale-down", "50% 50%"), own);
});

test("a position in percent or pixels moves it", () => {
  assert.equal(fitted(box, film, "contain", "0% 0%").y, 20);
  assert.equal(fitted(box, film, "contain", "50% 100%").y, 195);
  assert.equal(fitted(box, film, "contain", "0px 12px").y, 32);
});

test("a video without a size yet fills its box", () => {
  assert.deepEqual(fitted(box, { width: 0, height: 0 }, "contain", "50% 50%"), box);
});
