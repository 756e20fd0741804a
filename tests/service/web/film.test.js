import assert from "node:assert/strict";
import { test } from "node:test";

import { findMismatch, findStored, toTrackTime } from "../../../service/danmatte/web/film.js";

const FILM = { sha256: "0".repeat(64), clock: "media", width: 1920, height: 1080, pixel_ratio: [1, 1], first_ms: 0, end_ms: 60_000, coded_ms: 0, origin_ms: 0 };
const LATE = { ...FILM, first_ms: 10_000, end_ms: 19_000, coded_ms: 10_000, origin_ms: 10_000 };
const video = (properties) => ({ videoWidth: 1280, videoHeight: 720, duration: 60, ...properties });

test("a film with the same aspect ratio and length matches at any size", () => {
  for (const [videoWidth, videoHeight] of [[1920, 1080], [1280, 720], [854, 480], [256, 144]]) {
    assert.equal(findMismatch(FILM, video({ videoWidth, videoHeight })), "");
  }
});

for (const [videoWidth, videoHeight] of [[1080, 1920], [1440, 1080], [720, 576], [1920, 800]]) {
  test(`a film of ${videoWidth}×${videoHeight} doesn't match one of 1920×1080`, () => {
    const why = findMismatch(FILM, video({ videoWidth, videoHeight }));
    assert.equal(why, `the masks are of a film of 1920×1080, this one is ${videoWidth}×${videoHeight}`);
  });
}

for (const duration of [59, 60, 61]) {
  test(`a length of ${duration} s matches a film of 60 s`, () => assert.equal(findMismatch(FILM, video({ duration })), ""));
}

for (const duration of [0.04, 30, 58.5, 62, 600]) {
  test(`a length of ${duration} s doesn't match a film of 60 s`, () => assert.match(findMismatch(FILM, video({ duration })), /a film of 60\.0 s, this one is [\d.]+ s/));
}

test("unknown lengths and lengths of a different clock aren't compared", () => {
  for (const duration of [NaN, Infinity]) assert.equal(findMismatch(FILM, video({ duration })), "");
  assert.equal(findMismatch(FILM, video({ duration: 600 }), { clock: (ms) => ms }), "");
  assert.equal(findMismatch(FILM, video({ videoWidth: 0, videoHeight: 0, duration: 600 })), "");
  assert.equal(findMismatch(null, video({ duration: 600 })), "");
});

test("a film that starts late matches with or without the time before its start", () => {
  for (const duration of [9, 12.56, 19]) assert.equal(findMismatch(LATE, video({ duration })), "");
  for (const duration of [7, 22]) assert.notEqual(findMismatch(LATE, video({ duration })), "");
});

test("a length that includes longer sound matches", () => {
  const longer = { ...FILM, file_end_ms: 65_000 };
  for (const duration of [60, 63, 65]) assert.equal(findMismatch(longer, video({ duration })), "");
  assert.notEqual(findMismatch(longer, video({ duration: 67 })), "");
  assert.notEqual(findMismatch(FILM, video({ duration: 65 })), "");
});

test("a length matches with or without the offset added", () => {
  assert.equal(findMismatch(FILM, video({ duration: 65 }), { offset: -5000 }), "");
  assert.equal(findMismatch(FILM, video({ duration: 60 }), { offset: -5000 }), "");
  assert.notEqual(findMismatch(FILM, video({ duration: 70 }), { offset: -5000 }), "");
});

test("the track's time is the player's time plus the offset", () => {
  assert.equal(toTrackTime(40, {}, null, {}), 40);
  assert.equal(toTrackTime(40, {}, LATE, { offset: -1480 }), -1440);
});

test("in Firefox times count from the first stored time", () => {
  assert.equal(toTrackTime(40, { mozHasAudio: false }, LATE, {}), 10_040);
  assert.equal(toTrackTime(40, { mozHasAudio: false }, { ...LATE, clock: "file" }, {}), 40);
  assert.equal(toTrackTime(40, { mozHasAudio: false }, null, { offset: 5 }), 45);
});

test("in Firefox times of scripted players are unchanged", () => {
  const dash = { ...LATE, sections: [[10_000, 0]] }; // a first period that starts at 10 s
  assert.equal(toTrackTime(10_040, { mozHasAudio: false, currentSrc: "blob:https://example.org/1" }, dash, {}), 10_040);
});

test("a clock function gets the film and can return null for no masks", () => {
  const calls = [];
  const clock = (ms, film) => (calls.push([ms, film]), ms < 100 ? null : 2 * ms);
  assert.equal(toTrackTime(40, {}, FILM, { clock }), null);
  assert.equal(toTrackTime(140, { mozHasAudio: true }, LATE, { clock, offset: 3 }), 283);
  assert.deepEqual(calls, [[40, FILM], [140, LATE]]);
});

test("scripted HLS players start at the first decoding time", () => {
  const film = { ...FILM, scripted_ms: 80 };
  assert.equal(toTrackTime(120, { currentSrc: "blob:https://example.org/1" }, film, {}), 40);
  assert.equal(toTrackTime(120, { currentSrc: "https://example.org/list.m3u8" }, film, {}), 120);
  assert.equal(toTrackTime(120, { currentSrc: "blob:https://example.org/1" }, FILM, {}), 120);
});

/** The positions of the film's corners in the picture that Firefox shows; corners are numbered clockwise from the upper left one. */
const findCorners = (orientation, size = {}) => {
  const matrix = findStored({ ...FILM, orientation }, video({ mozHasAudio: false, ...size }));
  if (!matrix) return null;
  const [a, b, c, d, e, f] = matrix;
  return [[0, 0], [1, 0], [1, 1], [0, 1]].map(([x, y]) => [[0, 3], [1, 2]][a * x + c * y + e][b * x + d * y + f]);
};
const UPRIGHT = { videoWidth: 720, videoHeight: 1280 };

for (const [orientation, size, corners] of [
  [["mirrored"], {}, [1, 0, 3, 2]],
  [["upended"], {}, [3, 2, 1, 0]],
  [["transposed"], UPRIGHT, [0, 3, 2, 1]],
  [["transposed", "mirrored", "upended"], UPRIGHT, [2, 1, 0, 3]],
]) {
  test(`Firefox shows a picture to be ${orientation.join(", ")} as it is stored`, () => {
    assert.deepEqual(findCorners(orientation, size), corners);
    assert.equal(findMismatch({ ...FILM, orientation }, video({ mozHasAudio: false, ...size })), "");
    assert.equal(findStored({ ...FILM, orientation }, video(size)), null, "other browsers apply the whole matrix");
  });
}

test("pictures that are only rotated are upright in every browser", () => {
  for (const orientation of [undefined, [], ["mirrored", "upended"], ["transposed", "mirrored"]]) assert.equal(findCorners(orientation), null);
  assert.equal(findStored(null, video({ mozHasAudio: false })), null);
});

test("a Firefox that transposes the picture needs no correction", () => {
  assert.equal(findCorners(["transposed"]), null);
  assert.notEqual(findMismatch({ ...FILM, orientation: ["transposed", "mirrored"] }, video({ mozHasAudio: false, ...UPRIGHT })), "");
});
