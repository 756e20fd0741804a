import assert from "node:assert/strict";
import { test } from "node:test";

import { readCue, vtt } from "../../../service/danmatte/web/vtt.js";

const SIZE = { width: 32, height: 18 };
const view = (text) => new DataView(new TextEncoder().encode(text).buffer);
/** One outline from corner 3, 2: three steps make a square of one pixel, which turns to the right each time. */
const PIXEL = btoa(String.fromCharCode(1, 6, 4, 1 + 2 * 3 + 2 * 9));

function writeTrack(facts = { ...SIZE, segments: [[1000, 90]] }) {
  const text = typeof facts === "string" ? facts : JSON.stringify(facts);
  const head = `WEBVTT danmatte/1 head=00000000\n\nNOTE\n${text}\n\n`;
  return head.replace("00000000", String(head.length).padStart(8, "0"));
}

const writeCue = (facts = {}, times = "00:00:01.000 --> 00:00:01.040") => `${times}\n${JSON.stringify({ ...SIZE, mask: "", ...facts })}`;

test("sizes, segments and the film are read from the head", () => {
  const film = { sha256: "0".repeat(64), clock: "media", width: 640, height: 360, pixel_ratio: [1, 1], first_ms: 0, end_ms: 9000, coded_ms: 0, origin_ms: 0 };
  const text = writeTrack({ ...SIZE, segments: [[1000, 90], [11_000, 70]], film });
  assert.equal(vtt.measureHead(view(text)), text.length);
  const { header, segments } = vtt.readIndex(view(text), Infinity);
  assert.deepEqual(header, { ...SIZE, film });
  assert.deepEqual(segments, [{ pts: 1000, offset: text.length, length: 90 }, { pts: 11_000, offset: text.length + 90, length: 70 }]);
});

for (const text of ["WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nsubtitles\n\n", "WEBVTT danmatte/2 head=00000100\n\nNOTE\n", "WEBVTT danmatte/1 head=00000004\n\nNOTE\n{}\n\n"]) {
  test(`${JSON.stringify(text)} is rejected as a track of masks`, () => assert.throws(() => vtt.measureHead(view(text)), RangeError));
}

for (const facts of ["{", "null", "[]", { ...SIZE }, { ...SIZE, width: 0, segments: [] }, { ...SIZE, width: "32", segments: [] }, { width: 2 ** 12, height: 2 ** 12, segments: [] }]) {
  test(`a head with ${JSON.stringify(facts)} is rejected`, () => assert.throws(() => vtt.readIndex(view(writeTrack(facts)), Infinity), RangeError));
}

test("time, flags and outline are read from a cue", () => {
  const mask = readCue(writeCue({ mask: PIXEL, cut: true, coverage: 0.25 }, "01:02:03.004 --> 01:02:03.044"));
  assert.deepEqual([mask.pts, mask.cut, mask.held, mask.coverage], [3_723_004, true, false, 0.25]);
  assert.deepEqual([mask.shape.width, mask.shape.height], [32, 18]);
});

test("a cue without a mask is empty, or full where the background is painted", () => {
  assert.equal(readCue(writeCue()).shape.outline.rings.length, 0);
  assert.equal(readCue(writeCue({ polarity: "background" })).shape.outline.rings.length, 1);
});

const wrong = {
  "no times": "later\n{}",
  "no payload": "00:00:01.000 --> 00:00:02.000",
  "no JSON": "00:00:01.000 --> 00:00:02.000\nsubtitles",
  "no base64": writeCue({ mask: "%" }),
  "no text": writeCue({ mask: 7 }),
  "an outline that doesn't end": writeCue({ mask: btoa("\x01\x06\x04") }),
  "more than the outlines": writeCue({ mask: btoa(`${atob(PIXEL)}\0`) }),
  "a picture too large": writeCue({ width: 2 ** 20, height: 2 ** 20 }),
};
for (const [what, block] of Object.entries(wrong)) {
  test(`a cue with ${what} is rejected`, () => assert.throws(() => readCue(block), RangeError));
}

test("a truncated segment or one of a different size is rejected", () => {
  const cue = `${writeCue({ mask: PIXEL })}\n\n`;
  assert.equal(vtt.readMasks(view(cue + cue), { ...SIZE, film: null }, 1000).length, 2);
  assert.throws(() => vtt.readMasks(view(cue.slice(0, -1)), { ...SIZE, film: null }, 1000), RangeError);
  assert.throws(() => vtt.readMasks(view(cue), { width: 64, height: 36, film: null }, 1000), RangeError);
});
