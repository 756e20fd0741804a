import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeElement, installBrowser } from "./fakes.js";

const document = installBrowser();
const { invert, measureFrame, multiply } = await import("../../../service/danmatte/web/transforms.js");

const box = { x: 30, y: 40, width: 200, height: 100 };
const element = (computed, properties = {}) => Object.assign(new FakeElement(), { box, computed, ...properties });
const round = (matrix) => matrix.map((value) => Math.round(1000 * value) / 1000 + 0);
const near = (one, other) => assert.deepEqual(round(one), round(other));

/** The bounding box of a rectangle of this size, centred at 0, after a rotation by this number of degrees. */
function turnBox(degrees, width, height) {
  const [cos, sin] = [Math.cos, Math.sin].map((f) => Math.abs(f((degrees * Math.PI) / 180)));
  const [wide, high] = [cos * width + sin * height, sin * width + cos * height];
  return { x: -wide / 2, y: -high / 2, width: wide, height: high };
}

test("matrices are multiplied and inverted as CSS does", () => {
  const [scale, shift] = [[2, 0, 0, 3, 0, 0], [1, 0, 0, 1, 10, 20]];
  assert.deepEqual(multiply(scale, shift), [2, 0, 0, 3, 20, 60]);
  assert.deepEqual(multiply(shift, scale), [2, 0, 0, 3, 10, 20]);
  near(multiply([2, 1, -1, 3, 7, 9], invert([2, 1, -1, 3, 7, 9])), [1, 0, 0, 1, 0, 0]);
  assert.equal(invert([1, 2, 2, 4, 0, 0]), null, "a line has no way back");
});

test("the frame of an element without transforms is its box", () => {
  assert.deepEqual(measureFrame(element({})), { matrix: [1, 0, 0, 1, 30, 40], width: 200, height: 100 });
});

test("fractions of pixels are kept although layout sizes are whole", () => {
  const { matrix, width } = measureFrame(element({}, { box: { ...box, width: 200.4 }, layoutWidth: 200 }));
  assert.deepEqual([matrix[0], width], [1, 200.4]);
});

for (const [name, computed, matrix] of [
  ["a mirror", { transform: "matrix(-1, 0, 0, 1, 0, 0)" }, [-1, 0, 0, 1, 230, 40]],
  ["a mirror by the property scale", { scale: "-1 1" }, [-1, 0, 0, 1, 230, 40]],
  ["a half turn", { rotate: "180deg" }, [-1, 0, 0, -1, 230, 140]],
  ["a half turn in the unit turn", { rotate: "0.5turn" }, [-1, 0, 0, -1, 230, 140]],
  ["a turn about the upright axis", { rotate: "y 180deg" }, [-1, 0, 0, 1, 230, 40]],
  ["a turn about an axis in numbers", { rotate: "1 0 0 180deg" }, [1, 0, 0, -1, 30, 140]],
  ["a mirror in space", { transform: "matrix3d(-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1)" }, [-1, 0, 0, 1, 230, 40]],
  ["none", { transform: "none", rotate: "none", scale: "none" }, [1, 0, 0, 1, 30, 40]],
]) {
  test(`${name} is read from the style`, () => near(measureFrame(element(computed)).matrix, matrix));
}

test("the corners of a rotated element are where the screen shows them", () => {
  const { matrix } = measureFrame(element({ rotate: "30deg" }, { box: turnBox(30, 200, 100), layoutWidth: 200, layoutHeight: 100 }));
  const [cos, sin] = [Math.sqrt(3) / 2, 0.5];
  near(multiply(matrix, [1, 0, 0, 1, 100, 50]), [cos, sin, -sin, cos, 0, 0]);
});

test("at an angle of 45° the size comes from the layout", () => {
  const found = measureFrame(element({ rotate: "45deg" }, { box: turnBox(45, 200, 100), layoutWidth: 200, layoutHeight: 100 }));
  assert.deepEqual([found.width, found.height], [200, 100]);
});

test("rotate is applied before scale, and both before transform", () => {
  const computed = { rotate: "90deg", scale: "2 1", transform: "matrix(1, 0, 0, 3, 0, 0)" };
  const { matrix } = measureFrame(element(computed, { box: { x: 0, y: 0, width: 300, height: 400 }, layoutWidth: 200, layoutHeight: 100 }));
  near(matrix, [0, 2, -3, 0, 300, 0]);
});

test("transforms of all ancestors count up to the full-screen element", () => {
  const [page, player, layer] = [element({ scale: "-1 1" }), element({ scale: "1 -1" }), element({})];
  page.append(player);
  player.append(layer);
  near(measureFrame(layer).matrix, [-1, 0, 0, -1, 230, 140]);
  document.fullscreenElement = player;
  near(measureFrame(layer).matrix, [1, 0, 0, -1, 30, 140]);
  document.fullscreenElement = null;
});

test("ancestors are found through slots and shadow roots", () => {
  const [host, layer] = [element({ scale: "-1 1" }), element({})];
  layer.assignedSlot = element({});
  layer.assignedSlot.parent = { host };
  near(measureFrame(layer).matrix, [-1, 0, 0, 1, 230, 40]);
});

test("an element with display: contents has no transform", () => {
  const [around, layer] = [element({ scale: "-1 1", display: "contents" }), element({})];
  around.append(layer);
  near(measureFrame(layer).matrix, [1, 0, 0, 1, 30, 40]);
});

test("opposite rotations cancel out only with preserve-3d", () => {
  for (const [transformStyle, x] of [["preserve-3d", 1], ["flat", 0.25]]) {
    const [card, layer] = [element({ rotate: "y 60deg", transformStyle }), element({ rotate: "y -60deg" }, { box: { ...box, width: 200 * x }, layoutWidth: 200 })];
    card.append(layer);
    near(measureFrame(layer).matrix, [x, 0, 0, 1, 30, 40]);
  }
});
