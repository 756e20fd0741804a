import assert from "node:assert/strict";
import { test } from "node:test";

import { mattes } from "../../../service/danmatte/web/mattes.js";

const HEADER = { background: false, width: 32, height: 18, model: "toy", film: null };
const FILM = { sha256: "0".repeat(64), clock: "media", width: 640, height: 360, pixel_ratio: [1, 1], first_ms: 0, end_ms: 9000, coded_ms: 0, origin_ms: 0 };

/** Head and index, with one thing changed by `change`. */
function writeHead({ polarity = 0, version = 1, name = new TextEncoder().encode("toy"), width = 32, height = 18, segments = [[0, 43, 9]], film } = {}) {
  const facts = new TextEncoder().encode(typeof film === "object" ? JSON.stringify(film) : (film ?? ""));
  const [first, last] = film === undefined ? [20, 20 + name.length] : [22, 22 + name.length + facts.length];
  const view = new DataView(new ArrayBuffer(last + 20 * segments.length));
  view.setUint32(0, 0x4d415454);
  view.setUint8(4, film === undefined ? version : 2);
  view.setUint8(5, polarity);
  view.setUint16(6, name.length);
  view.setUint16(8, width);
  view.setUint16(10, height);
  view.setUint32(16, segments.length);
  new Uint8Array(view.buffer).set(name, first);
  new Uint8Array(view.buffer).set(facts, last - facts.length);
  if (film !== undefined) view.setUint16(20, facts.length);
  segments.forEach(([pts, offset, length], number) => {
    const at = last + 20 * number;
    view.setBigUint64(at, BigInt(pts));
    view.setBigUint64(at + 8, BigInt(offset));
    view.setUint32(at + 16, length);
  });
  return view;
}

const varint = (value) => (value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]);
const signed = (value) => varint(value < 0 ? -2 * value - 1 : 2 * value);

/** The turns of an outline, five in each byte. */
function pack(turns) {
  const bytes = [];
  for (let at = 0; at < turns.length; at += 5) {
    bytes.push(turns.slice(at, at + 5).reduceRight((byte, turn) => 3 * byte + turn, 0));
  }
  return bytes;
}

/** The turns of a box from its top left corner: straight along each side, then a turn to the same side. */
function turnBox(width, height) {
  const turns = [];
  for (const [number, side] of [width, height, width, height].entries()) {
    turns.push(...Array(side - 1).fill(0));
    if (number < 3) turns.push(number ? 2 : 1);
  }
  return turns;
}

/** One record of boxes; `before` are the corners of the last record. */
function writeRecord({ later = 0, flags = 1, coverage = 0, boxes = [], before = [] }) {
  const corners = boxes.flatMap(([x, y], at) => [...signed(x - (before[at]?.[0] ?? 0)), ...signed(y - (before[at]?.[1] ?? 0))]);
  const turns = pack(boxes.flatMap(([, , width, height]) => turnBox(width, height)));
  return [...varint(later), flags, coverage, ...varint(boxes.length), ...corners, ...turns];
}

const view = (...records) => new DataView(Uint8Array.from(records.flat()).buffer);
const read = (...records) => mattes.readMasks(view(...records), HEADER, 1000);

/** The box around a ring, to the nearest pixel. */
function frame(ring) {
  const [xs, ys] = [0, 1].map((axis) => [...ring].filter((_, at) => at % 2 === axis));
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)].map(Math.round);
}

test("head and index are read", () => {
  const head = writeHead({ segments: [[100, 83, 9], [10_100, 92, 2 ** 31]] });
  assert.equal(mattes.measureHead(head), 20 + 3 + 40);
  const { header, segments } = mattes.readIndex(head, 0);
  assert.deepEqual(header, HEADER);
  assert.deepEqual(segments, [{ pts: 100, offset: 83, length: 9 }, { pts: 10_100, offset: 92, length: 2 ** 31 }]);
  assert.equal(mattes.readIndex(writeHead({ polarity: 1 }), 0).header.background, true);
});

test("a head inside a larger buffer is read at its offset", () => {
  const bytes = new Uint8Array(100);
  bytes.set(new Uint8Array(writeHead().buffer), 7);
  assert.equal(mattes.readIndex(new DataView(bytes.buffer, 7, 43), 0).header.model, "toy");
});

for (const [what, head] of Object.entries({
  "an unknown version": { version: 2 },
  "an unknown polarity": { polarity: 2 },
  "a name of 256 bytes": { name: new Uint8Array(256).fill(65) },
  "a name that isn't UTF-8": { name: Uint8Array.of(0xff, 0xfe) },
  "no columns": { width: 0 },
  "no rows": { height: 0 },
  "too many pixels": { width: 4096, height: 1025 },
})) {
  test(`${what} is rejected`, () => assert.throws(() => mattes.readIndex(writeHead(head), 0), RangeError));
}

test("the largest allowed number of pixels is accepted", () => {
  assert.equal(mattes.readIndex(writeHead({ width: 2048, height: 2048 }), 0).header.width, 2048);
});

test("a truncated index is rejected", () => {
  const head = new DataView(writeHead().buffer, 0, 42);
  assert.throws(() => mattes.readIndex(head, 0), RangeError);
});

test("masks have their times, flags and coverage", () => {
  const masks = read(
    writeRecord({ flags: 1, coverage: 0 }),
    writeRecord({ later: 40, flags: 2, coverage: 255 }),
    writeRecord({ later: 300, flags: 4, coverage: 51 }),
  );
  assert.deepEqual(masks.map(({ pts, cut, held, coverage }) => [pts, cut, held, coverage]), [
    [1000, false, false, 0],
    [1040, true, false, 1],
    [1340, false, true, 0.2],
  ]);
});

test("an outline follows its corner and turns", () => {
  const [{ shape }] = read(writeRecord({ boxes: [[4, 3, 12, 9]] }));
  const { width, height, rings } = shape.outline;
  assert.deepEqual([width, height, rings.length], [32, 18, 1]);
  assert.deepEqual(frame(rings[0]), [4, 3, 16, 12]);
});

test("several outlines are read although their turns share bytes", () => {
  const boxes = [[0, 0, 7, 8], [10, 2, 9, 6], [20, 5, 11, 12]];
  const { rings } = read(writeRecord({ boxes }))[0].shape.outline;
  assert.deepEqual(rings.map(frame), boxes.map(([x, y, w, h]) => [x, y, x + w, y + h]));
});

test("corners are relative to those of the previous mask, or to 0 if it had fewer", () => {
  const [one, two] = [[[4, 3, 12, 9]], [[2, 5, 12, 9], [20, 1, 8, 8]]];
  const masks = read(writeRecord({ boxes: one }), writeRecord({ later: 40, boxes: two, before: one }));
  assert.deepEqual(masks[1].shape.outline.rings.map(frame), [[2, 5, 14, 14], [20, 1, 28, 9]]);
});

test("after an empty mask corners are relative to 0", () => {
  const boxes = [[4, 3, 12, 9]];
  const masks = read(writeRecord({ boxes }), writeRecord({ later: 40 }), writeRecord({ later: 40, boxes }));
  assert.equal(masks[1].shape.outline.rings.length, 0);
  assert.deepEqual(frame(masks[2].shape.outline.rings[0]), [4, 3, 16, 12]);
});

test("a repeated mask shares its shape, and later corners are relative to it", () => {
  const boxes = [[4, 3, 12, 9]];
  const masks = read(writeRecord({ boxes }), [40, 8 | 4, 20], writeRecord({ later: 40, boxes, before: boxes }));
  assert.equal(masks[1].shape, masks[0].shape);
  assert.deepEqual([masks[1].pts, masks[1].held], [1040, true]);
  assert.deepEqual(frame(masks[2].shape.outline.rings[0]), [4, 3, 16, 12]);
});

test("a background mask is inverted", () => {
  const background = { ...HEADER, background: true };
  const whole = mattes.readMasks(view(writeRecord({ boxes: [[0, 0, 32, 18]] })), background, 0)[0].shape.outline;
  assert.equal(whole.rings.length, 2, "all painted and inverted: two rings on each other");
  const none = mattes.readMasks(view(writeRecord({})), background, 0)[0].shape.outline;
  assert.deepEqual(none.rings.map(frame), [[0, 0, 32, 18]], "nothing painted: all of it is person");
});

test("numbers of several bytes are read, lowest bits first", () => {
  assert.equal(read(writeRecord({ later: 0 }), writeRecord({ later: 2 ** 34 }))[1].pts, 1000 + 2 ** 34);
});

test("a number of too many bytes is rejected", () => {
  assert.throws(() => read([255, 255, 255, 255, 255, 1, 0, 0]), /at most 5 bytes/);
});

for (const [what, record, message] of [
  ["unknown flags", writeRecord({ flags: 16 }), /known flags, received 16/],
  ["a repetition without a previous mask", [0, 8, 0], /known flags, received 8/],
  ["more outlines than pixels", [0, 1, 0, ...varint(577)], /at most 576 outlines, received 577/],
  ["a corner left of the picture", [0, 1, 0, 1, ...signed(-1), ...signed(0), 0], /received -1, 0/],
  ["a corner above the picture", [0, 1, 0, 1, ...signed(0), ...signed(-1), 0], /received 0, -1/],
  ["a corner at the right edge", [0, 1, 0, 1, ...signed(32), ...signed(0), 0], /received 32, 0/],
  ["a corner at the bottom", [0, 1, 0, 1, ...signed(0), ...signed(18), 0], /received 0, 18/],
  ["a byte that isn't five turns", [0, 1, 0, 1, ...signed(3), ...signed(3), 243], /below 243, received 243/],
  ["an outline out at the right", [0, 1, 0, 1, ...signed(30), ...signed(3), ...pack(Array(10).fill(0))], /leaves the picture/],
  ["an outline out at the bottom", [0, 1, 0, 1, ...signed(3), ...signed(17), ...pack([1, ...Array(9).fill(0)])], /leaves the picture/],
  ["an outline out at the top", [0, 1, 0, 1, ...signed(3), ...signed(0), ...pack([2, ...Array(9).fill(0)])], /leaves the picture/],
  ["an outline without an end", [0, 1, 0, 1, ...signed(3), ...signed(3), ...pack(turnBox(4, 4)).slice(0, -1)], /bounds/],
  ["an end within a record", [0, 1], /bounds/],
]) {
  test(`${what} is rejected when it is read, not when it is shown`, () => assert.throws(() => read(record), { name: "RangeError", message }));
}

test("outlines that cross the rows too often are rejected", () => {
  // Each fits into the picture, but together they have more vertical steps than there are pixel edges.
  const boxes = Array.from({ length: 40 }, () => [0, 0, 31, 17]);
  assert.throws(() => read(writeRecord({ boxes })), /cross the picture's rows too often/);
  assert.equal(read(writeRecord({ boxes: boxes.slice(0, 17) })).length, 1);
});

test("a segment of more than 4096 masks is rejected", () => {
  const records = Array.from({ length: 4097 }, (_, number) => writeRecord({ later: number ? 1 : 0 }));
  assert.equal(read(...records.slice(1)).length, 4096);
  assert.throws(() => read(...records), /at most 4096/);
});

test("damaged bytes give masks or a RangeError", () => {
  let state = 3;
  const next = (limit) => (state = (state * 16_807) % 2_147_483_647) % limit;
  const good = [writeRecord({ boxes: [[4, 3, 12, 9], [20, 2, 6, 7]] }), [40, 12, 9], writeRecord({ later: 40, boxes: [[1, 1, 9, 9]] })].flat();
  let refused = 0;
  for (let number = 0; number < 3000; number++) {
    const hurt = Uint8Array.from(good);
    for (let times = 0; times <= next(3); times++) hurt[next(hurt.length)] = next(256);
    try {
      for (const { shape } of read([...hurt.subarray(0, 1 + next(hurt.length))])) assert.ok(shape.outline.rings.length < 10);
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error));
      refused += 1;
    }
  }
  assert.ok(refused > 1000 && refused < 3000, `${refused}`);
});

test("facts of the film are read from version 2, including unknown ones", () => {
  const head = writeHead({ film: { ...FILM, added: "later" } });
  assert.equal(mattes.measureHead(head), head.byteLength);
  const { header, segments } = mattes.readIndex(head, 99);
  assert.deepEqual(header, { ...HEADER, film: { ...FILM, added: "later" } });
  assert.deepEqual(segments, [{ pts: 0, offset: 43, length: 9 }]);
});

for (const [film, why] of [
  ["", /as JSON/],
  ["{", /as JSON/],
  ["null", /film's width/],
  [{ ...FILM, end_ms: "9000" }, /film's end_ms/],
  [{ ...FILM, height: 0 }, /film's size/],
]) {
  test(`invalid facts of a film are rejected: ${JSON.stringify(film)}`, () => {
    assert.throws(() => mattes.readIndex(writeHead({ film }), 99), why);
  });
}
