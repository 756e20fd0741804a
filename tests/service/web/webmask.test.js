import assert from "node:assert/strict";
import { test } from "node:test";

import { drawn, webmask } from "../../../service/danmatte/web/webmask.js";

const svg = (data) => `<svg width="32.0px" height="18.0px" viewBox="0 0 32.000000 18.000000"><g><path d="${data}"/></g></svg>`;
const hole = [[5, 13, 15, 13, 15, 7, 5, 7]];

/** An inflated segment of one record. */
function records(text) {
  const body = new TextEncoder().encode(text);
  const view = new DataView(new ArrayBuffer(12 + body.length));
  view.setInt32(0, body.length);
  new Uint8Array(view.buffer).set(body, 12);
  return view;
}

const written = (data) => records(`data:image/svg+xml;base64,${btoa(svg(data))}`);

for (const data of [
  "M0 0l320 0 0 180-320 0zM50 50l100 0 0 60-100 0z",
  "M0 0l320 0 0 180-320 0zm50 50l100 0 0 60-100 0z",
  "M0 0h320v180h-320zM50 50h100v60h-100z",
  "M0 0H320V180H0ZM50 50H150V110H50z",
  "M0,0L320,0,320,180,0,180ZM50 50 150 50 150 110 50 110z",
]) {
  test(`a box is left bare: ${data}`, () => {
    const { width, height, rings } = drawn(svg(data));
    assert.deepEqual([width, height], [32, 18]);
    assert.deepEqual(rings.map((ring) => [...ring]), hole);
    assert.deepEqual(webmask.masks(written(data))[0].shape.outline.rings.map((ring) => [...ring]), hole);
  });
}

test("curves of either case are the same", () => {
  const [relative, absolute] = ["M50 50c30 0 70 20 100 40z", "M50 50C80 50 120 70 150 90z"].map((data) => drawn(svg(data)).rings);
  assert.deepEqual(relative, absolute);
});

for (const data of ["M0 0q1 2 3 4", "0 0", "M0", "M0 0x", "M0 0z 1 2", "M0 0l1 1#", "M0 0 l 1 2 3"]) {
  test(`refused when it is read, not when it is shown: ${data}`, () => assert.throws(() => webmask.masks(written(data)), RangeError));
}

test("records that are no pictures are refused", () => {
  for (const text of ["", "hello, this is a text and nothing else at all", "data:image/svg+xml;base64,????"]) {
    assert.throws(() => webmask.masks(records(text)), RangeError);
  }
});
