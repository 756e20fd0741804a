import assert from "node:assert/strict";
import { test } from "node:test";

import { webmask } from "../../../service/danmatte/web/webmask.js";

const PREFIX = "data:image/svg+xml;base64,";
const FULL = "M0 0l320 0 0 180-320 0z";
const svg = (...paths) => `<svg width="32.0px" height="18.0px" viewBox="0 0 32.000000 18.000000"><g>${paths.map((data) => `<path d="${data}"/>`).join("")}</g></svg>`;
const encode = (text) => `${PREFIX}${btoa(text)}`;

/** A decompressed segment of these texts, 40 ms apart. */
function writeRecords(...texts) {
  const bodies = texts.map((text) => new TextEncoder().encode(text));
  const view = new DataView(new ArrayBuffer(bodies.reduce((sum, body) => sum + 12 + body.length, 0)));
  let at = 0;
  bodies.forEach((body, number) => {
    view.setInt32(at, body.length);
    view.setBigInt64(at + 4, BigInt(40 * number));
    new Uint8Array(view.buffer).set(body, at + 12);
    at += 12 + body.length;
  });
  return view;
}

const read = (...texts) => webmask.readMasks(writeRecords(...texts), {}, 0);
const outline = (...paths) => read(encode(svg(...paths)))[0].shape.outline;
const rings = (...paths) => outline(...paths).rings.map((ring) => [...ring]);

/** Head and index, with values given by a test, which may be invalid. */
function writeHead({ version = 1, codec = 2, count, segments = [[0, 32]] } = {}) {
  const view = new DataView(new ArrayBuffer(16 + 16 * segments.length));
  view.setUint32(0, 0x4d41534b);
  view.setInt32(4, version);
  view.setUint8(8, codec);
  view.setInt32(12, count ?? segments.length);
  segments.forEach(([pts, offset], number) => {
    view.setBigInt64(16 + 16 * number, BigInt(pts));
    view.setBigInt64(24 + 16 * number, BigInt(offset));
  });
  return view;
}

test("each segment ends at the next one, and the last at the end of the file", () => {
  const head = writeHead({ segments: [[8, 48], [10_000, 148]] });
  assert.equal(webmask.measureHead(head), 48);
  assert.deepEqual(webmask.readIndex(head, 1000).segments, [{ pts: 8, offset: 48, length: 100 }, { pts: 10_000, offset: 148, length: 852 }]);
});

test("the last segment of a file of unknown size has no end", () => {
  assert.equal(webmask.readIndex(writeHead(), Infinity).segments[0].length, Infinity);
});

for (const head of [{ version: 2 }, { codec: 1 }, { count: 0 }, { count: -1 }, { count: 65_537 }]) {
  test(`a head with ${JSON.stringify(head)} is rejected`, () => assert.throws(() => webmask.measureHead(writeHead(head)), RangeError));
}

test("a truncated index is rejected", () => {
  assert.throws(() => webmask.readIndex(writeHead({ count: 2 }), 1000), RangeError);
});

test("masks have their times and no flags", () => {
  const masks = read(encode(svg(FULL)), encode(svg(FULL)));
  assert.deepEqual(masks.map(({ pts, cut, held, coverage }) => [pts, cut, held, coverage]), [[0, false, false, 0], [40, false, false, 0]]);
});

const HOLE = [[5, 13, 15, 13, 15, 7, 5, 7]];
for (const data of [
  "M0 0l320 0 0 180-320 0zM50 50l100 0 0 60-100 0z",
  "M0 0l320 0 0 180-320 0zm50 50l100 0 0 60-100 0z",
  "M0 0h320v180h-320zM50 50h100v60h-100z",
  "M0 0H320V180H0ZM50 50H150V110H50z",
  "M0,0L320,0,320,180,0,180ZM50 50 150 50 150 110 50 110z",
  "M0 0L320 0 320 180 0 180ZM5e1 50 1.5e2 50 150.0 110 50 +110z",
  "M0 0l320 0 0 180-320 0zM50 50l.1e3 0 0 60-100 0z",
]) {
  test(`a box is left unpainted: ${data}`, () => {
    const { width, height } = outline(data);
    assert.deepEqual([width, height], [32, 18]);
    assert.deepEqual(rings(data), HOLE);
  });
}

test("the picture's frame can be a separate path", () => {
  assert.deepEqual(rings("M0 0h320v180h-320z", "M50 50h100v60h-100z"), HOLE);
});

test("a frame that is off by a tenth of a pixel is recognized", () => {
  assert.deepEqual(rings("M1 1L319 1L319 179L1 179Z"), []);
  assert.equal(rings("M2 0L320 0L320 180L2 180Z").length, 2, "one that is further off leaves the edge unpainted");
});

test("a ring along the edge that doesn't enclose everything isn't a frame", () => {
  assert.equal(rings("M0 0h320v0h-320z").length, 2);
});

test("without a frame everything outside the paths is unpainted", () => {
  assert.deepEqual(rings("M0 0h160v180h-160z"), [[0, 18, 16, 18, 16, 0, 0, 0], [0, 18, 32, 18, 32, 0, 0, 0]]);
});

test("y points upwards in the file and downwards in the outline", () => {
  assert.deepEqual(rings(FULL + "M0 170h10v10h-10z"), [[0, 1, 1, 1, 1, 0, 0, 0]]);
});

test("relative and absolute curves are equal", () => {
  const [relative, absolute] = ["M50 50c30 0 70 20 100 40z", "M50 50C80 50 120 70 150 90z"].map((data) => rings(data));
  assert.deepEqual(relative, absolute);
});

test("a curve passes through its ends and bends towards its control points", () => {
  const [ring] = rings(`${FULL}M0 0C0 100 100 100 100 0z`);
  const ys = ring.filter((_, at) => at % 2);
  assert.deepEqual(ring.slice(0, 2), [0, 18]);
  assert.deepEqual(ring.slice(-2), [10, 18]);
  assert.ok(Math.abs(Math.min(...ys) - (18 - 7.5)) < 0.01, "three quarters of the way to its control points");
  assert.equal(ring.length / 2, 5);
});

test("after a closed path the current point is its start", () => {
  assert.deepEqual(rings(`${FULL}M50 50h100v60h-100zm0 0h10v10h-10z`).at(-1), [5, 13, 6, 13, 6, 12, 5, 12]);
});

test("a picture with an empty path is completely unpainted", () => {
  assert.equal(rings("").length, 1);
});

for (const data of ["M0 0q1 2 3 4", "0 0", "M0", "M0 0x", "M0 0z 1 2", "M0 0l1 1#", "M0 0 l 1 2 3", "A1 1 0 0 0 1 1", "M0 0h1,,;2"]) {
  test(`rejected when it is read, not when it is shown: ${data}`, () => assert.throws(() => read(encode(svg(data))), RangeError));
}

for (const [what, text] of Object.entries({
  nothing: "",
  "a text": "hello, this is a text and nothing else at all",
  "base64 that isn't": `${PREFIX}????`,
  "a picture of a different format": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg",
  "an SVG without a viewBox": encode('<svg width="3"><path d="M0 0"/></svg>'),
  "an SVG whose viewBox isn't numbers": encode('<svg viewBox="0 0 a b"><path d="M0 0"/></svg>'),
  "an SVG without paths": encode('<svg viewBox="0 0 32 18"></svg>'),
  "a page": encode("<html><script>alert(1)</script></html>"),
})) {
  test(`${what} is rejected`, () => assert.throws(() => read(text), RangeError));
}

test("a record longer than its segment or with a negative length is rejected", () => {
  for (const length of [10_000, -1]) {
    const view = writeRecords(encode(svg(FULL)));
    view.setInt32(0, length);
    assert.throws(() => webmask.readMasks(view, {}, 0), RangeError);
  }
});

test("a picture larger than a mebibyte is rejected", () => {
  const most = 3 * Math.floor((2 ** 20 - PREFIX.length) / 4); // characters before they are base64
  assert.equal(read(encode(svg(FULL).padEnd(most))).length, 1);
  assert.throws(() => read(encode(svg(FULL).padEnd(most + 3))), /expected an SVG at 0 ms/);
});

test("a segment that ends within a record's head is rejected", () => {
  const whole = writeRecords(encode(svg(FULL)), encode(svg(FULL)));
  const size = whole.byteLength / 2;
  assert.throws(() => webmask.readMasks(new DataView(whole.buffer.slice(0, size + 6)), {}, 0), RangeError);
  assert.equal(webmask.readMasks(new DataView(whole.buffer.slice(0, size)), {}, 0).length, 1);
});

test("a segment of more than 4096 masks is rejected", () => {
  const text = encode(svg(FULL));
  assert.equal(read(...Array(4096).fill(text)).length, 4096);
  assert.throws(() => read(...Array(4097).fill(text)), /at most 4096/);
});

test("an outline is computed only once", () => {
  const [{ shape }] = read(encode(svg(FULL)));
  assert.equal(shape.outline, shape.outline);
});

test("arbitrary paths give a mask or a RangeError", () => {
  let state = 5;
  const next = (limit) => (state = (state * 16_807) % 2_147_483_647) % limit;
  const pieces = ["M", "m", "L", "l", "c", "C", "h", "V", "z", "q", " ", ",", "-", ".", "1e9", "7", "50", "-3.5", "+", "e"];
  let refused = 0;
  for (let number = 0; number < 2000; number++) {
    const data = `M0 0${Array.from({ length: next(12) }, () => pieces[next(pieces.length)]).join("")}`;
    try {
      assert.ok(outline(data).rings.length < 20);
    } catch (error) {
      assert.ok(error instanceof RangeError, `${data}: ${error}`);
      refused += 1;
    }
  }
  assert.ok(refused > 500 && refused < 2000, `${refused}`);
});
