import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeElement, FakeVideo, installBrowser } from "./fakes.js";

installBrowser();
const { fitPicture, isSamePlace, measurePlace } = await import("../../../service/danmatte/web/placement.js");

const box = { x: 10, y: 20, width: 400, height: 400 };
const film = { width: 1600, height: 900 };

test("contain leaves bars above and below", () => {
  assert.deepEqual(fitPicture(box, film, "contain", "50% 50%"), { x: 10, y: 107.5, width: 400, height: 225 });
});

test("contain leaves bars at the sides of a tall picture", () => {
  assert.deepEqual(fitPicture(box, { width: 100, height: 200 }, "contain", "50% 50%"), { x: 110, y: 20, width: 200, height: 400 });
});

test("cover crops at the sides", () => {
  const { x, width, height } = fitPicture(box, film, "cover", "50% 50%");
  assert.equal(height, 400);
  assert.ok(Math.abs(width - 711.1) < 0.1);
  assert.ok(Math.abs(x - (10 - 155.55)) < 0.1);
});

test("fill stretches the picture", () => {
  assert.deepEqual(fitPicture(box, film, "fill", "50% 50%"), box);
});

test("none and scale-down keep the size of a small picture", () => {
  const small = { width: 100, height: 50 };
  const own = { x: 160, y: 195, width: 100, height: 50 };
  assert.deepEqual(fitPicture(box, small, "none", "50% 50%"), own);
  assert.deepEqual(fitPicture(box, small, "scale-down", "50% 50%"), own);
});

test("scale-down shrinks a large picture like contain, but none doesn't", () => {
  assert.deepEqual(fitPicture(box, film, "scale-down", "50% 50%"), fitPicture(box, film, "contain", "50% 50%"));
  assert.deepEqual(fitPicture(box, film, "none", "0% 0%"), { x: 10, y: 20, width: 1600, height: 900 });
});

test("an unknown fit counts as contain", () => {
  assert.deepEqual(fitPicture(box, film, "later", "50% 50%"), fitPicture(box, film, "contain", "50% 50%"));
});

test("a position in percent or pixels moves the picture", () => {
  assert.equal(fitPicture(box, film, "contain", "0% 0%").y, 20);
  assert.equal(fitPicture(box, film, "contain", "50% 100%").y, 195);
  assert.equal(fitPicture(box, film, "contain", "0px 12px").y, 32);
});

test("a position from the right or bottom is read from calc()", () => {
  const tall = { width: 100, height: 200 };
  assert.equal(fitPicture(box, film, "contain", "calc(100% - 10px) calc(100% - 12px)").y, 183);
  assert.equal(fitPicture(box, tall, "contain", "calc(100% - 10px) 5px").x, 200);
  assert.equal(fitPicture(box, film, "contain", "50% calc(-12.5px + 50%)").y, 95);
});

test("a missing or unreadable position is the middle", () => {
  assert.equal(fitPicture(box, film, "contain", "0%").y, 107.5);
  assert.equal(fitPicture(box, film, "contain", "0% min(50%, 2px)").y, 107.5);
  assert.equal(fitPicture(box, film, "contain", "0% calc(min(50%, 2px) + 1px)").y, 107.5);
});

test("a video without a size yet fills its box", () => {
  assert.deepEqual(fitPicture(box, { width: 0, height: 0 }, "contain", "50% 50%"), box);
  assert.deepEqual(fitPicture(box, { width: 10, height: 0 }, "contain", "50% 50%"), box);
});

/** A video and a layer over it, with these boxes on the screen. */
function measureLayer(video, layer, computed = {}, properties = {}) {
  const element = new FakeVideo({ box: video, computed, ...properties });
  return measurePlace(element, Object.assign(new FakeElement(), { box: layer }));
}

/** The place of a picture that is neither mirrored nor rotated. */
const upright = (x, y, width, height, layerWidth, layerHeight) => ({ matrix: [width, 0, 0, height, x, y], layerWidth, layerHeight });
const wide = { x: 0, y: 0, width: 320, height: 180 };

test("the picture fills a layer of the video's size", () => {
  const place = measureLayer({ x: 5, y: 6, width: 640, height: 360 }, { x: 5, y: 6, width: 640, height: 360 });
  assert.deepEqual(place, upright(0, 0, 640, 360, 640, 360));
});

test("the picture's place is relative to the layer", () => {
  const place = measureLayer({ x: 100, y: 50, width: 320, height: 180 }, { x: 20, y: 10, width: 640, height: 360 });
  assert.deepEqual(place, upright(80, 40, 320, 180, 640, 360));
});

test("borders and padding aren't part of the picture", () => {
  const edges = { borderLeftWidth: "4px", borderTopWidth: "2px", borderRightWidth: "6px", borderBottomWidth: "8px" };
  const padding = { paddingLeft: "10px", paddingTop: "5px", paddingRight: "0px", paddingBottom: "15px" };
  const place = measureLayer({ x: 0, y: 0, width: 340, height: 210 }, { x: 0, y: 0, width: 340, height: 210 }, { ...edges, ...padding });
  assert.deepEqual(place, upright(14, 7, 320, 180, 340, 210));
});

test("a video smaller than its borders has a picture of size 0", () => {
  const { matrix } = measureLayer({ x: 0, y: 0, width: 4, height: 4 }, { x: 0, y: 0, width: 4, height: 4 }, { borderLeftWidth: "10px", borderTopWidth: "9px" });
  assert.deepEqual([matrix[0], matrix[3]], [0, 0]);
});

test("on a scaled page the place is in the layer's own pixels", () => {
  const layer = Object.assign(new FakeElement(), { box: { x: 10, y: 10, width: 320, height: 180 }, layoutWidth: 640, layoutHeight: 360 });
  const place = measurePlace(new FakeVideo({ box: { x: 20, y: 30, width: 160, height: 90 } }), layer);
  assert.deepEqual(place, upright(20, 40, 320, 180, 640, 360));
});

test("a canvas without a layout size uses its size on the screen", () => {
  const layer = Object.assign(new FakeElement(), { box: wide, layoutWidth: 0, layoutHeight: 0 });
  assert.deepEqual(measurePlace(new FakeVideo(), layer), upright(0, 0, 320, 180, 320, 180));
});

test("a hidden layer has a place of finite numbers", () => {
  const place = measureLayer(wide, { x: 0, y: 0, width: 0, height: 0 });
  assert.ok([...place.matrix, place.layerWidth].every(Number.isFinite), JSON.stringify(place));
});

test("a picture is fitted once the size of the video is known", () => {
  const square = { x: 0, y: 0, width: 360, height: 360 };
  assert.equal(measureLayer(square, square, {}, { videoWidth: 0, videoHeight: 0 }).matrix[3], 360);
  assert.equal(measureLayer(square, square, {}, { videoWidth: 640, videoHeight: 320 }).matrix[3], 180);
});

test("fit and position are read from the style", () => {
  const square = { x: 0, y: 0, width: 360, height: 360 };
  const place = measureLayer(square, square, { objectFit: "contain", objectPosition: "50% 0%" }, { videoWidth: 640, videoHeight: 320 });
  assert.deepEqual([place.matrix[4], place.matrix[5], place.matrix[3]], [0, 0, 180]);
  assert.equal(measureLayer(square, square, { objectFit: "cover" }, { videoWidth: 640, videoHeight: 320 }).matrix[0], 720);
});

test("the picture of a mirrored video is mirrored in the layer", () => {
  assert.deepEqual(measureLayer(wide, wide, { transform: "matrix(-1, 0, 0, 1, 0, 0)" }), upright(320, 0, -320, 180, 320, 180));
});

test("a video rotated by 90° has its width as height on the screen", () => {
  const turned = { x: 70, y: -70, width: 180, height: 320 };
  const place = measureLayer(turned, wide, { transform: "matrix(0, 1, -1, 0, 0, 0)" }, { layoutWidth: 320, layoutHeight: 180 });
  assert.deepEqual(place.matrix, [0, 320, -180, 0, 250, -70]);
});

test("a layer and video rotated together keep their relative place", () => {
  const player = Object.assign(new FakeElement(), { computed: { transform: "matrix(0, 1, -1, 0, 0, 0)" } });
  const turned = { box: { x: 70, y: -70, width: 180, height: 320 }, layoutWidth: 320, layoutHeight: 180 };
  const [video, layer] = [new FakeVideo(turned), Object.assign(new FakeElement(), turned)];
  player.append(video, layer);
  assert.deepEqual(measurePlace(video, layer).matrix.map((value) => Math.round(value) + 0), [320, 0, 0, 180, 0, 0]);
});

test("places are equal only if all their values are", () => {
  const place = upright(1, 2, 3, 4, 5, 6);
  assert.ok(isSamePlace(place, upright(1, 2, 3, 4, 5, 6)));
  for (const other of [upright(0, 2, 3, 4, 5, 6), upright(1, 2, 3, 4, 0, 6), upright(1, 2, 3, 4, 5, 0), { ...place, matrix: [3, 0, 1, 4, 1, 2] }]) {
    assert.ok(!isSamePlace(place, other));
  }
});
