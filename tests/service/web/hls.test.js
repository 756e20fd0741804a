import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";

import { followHls } from "../../../service/danmatte/web/adapters/hls.js";

const FILM = { first_ms: 0, scripted_ms: 80, sections: [[0, 1480], [2000, 34_400]] };
const FRAGMENTS = [[0, 0, 0.72], [0, 0.72, 1.36], [1, 2.08, 2]].map(([cc, start, duration]) => ({ cc, start, duration, programDateTime: null }));

/** A player that has read its playlist; `found` has the first time of each section. */
function play({ fragments = FRAGMENTS, found = [[0, 126_000], [1, 2_908_800]] } = {}) {
  const hls = new EventEmitter();
  const clock = followHls({ on: (name, listener) => hls.on(name, (data) => listener(name, data)) });
  hls.emit("hlsManifestLoading", {});
  hls.emit("hlsLevelLoaded", { details: { fragments } });
  for (const [cc, initPTS] of found) hls.emit("hlsInitPtsFound", { frag: { cc }, initPTS, timescale: 90_000 });
  return { hls, clock };
}

test("times of each section are mapped by the stream's timestamps", () => {
  // Measured with hls.js 1.7.4: the first frame at 80 ms, that of the second section at 2,080.
  const { clock } = play();
  assert.deepEqual([80, 1000, 2079.4, 2080, 2480].map((ms) => Math.round(clock(ms, FILM))), [0, 920, 1999, 2000, 2400]);
});

test("a wrapped stream timestamp is handled", () => {
  const { clock } = play({ found: [[0, 126_000 - 2 ** 33]] });
  assert.equal(Math.round(clock(480, FILM)), 400);
});

test("without known sections the first decoding time is used", () => {
  assert.equal(play({ found: [] }).clock(480, FILM), 400);
  assert.equal(play({ found: [] }).clock(480, { first_ms: 0 }), 480);
});

test("in a live stream dates map the clocks", () => {
  const fragments = [{ cc: 7, start: 30, duration: 2, programDateTime: 1_796_032_860_000 }];
  const { clock } = play({ fragments, found: [[7, 0]] });
  assert.equal(clock(31_000, { ...FILM, date_ms: 1_796_032_800_000 }), 61_000);
});

test("a new source forgets the sections of the previous one", () => {
  const { hls, clock } = play();
  hls.emit("hlsManifestLoading", {});
  assert.equal(clock(480, FILM), 400);
});

test("a clock made after the playlist was loaded uses the first decoding time", () => {
  const late = followHls({ on() {} });
  assert.equal(late(480, FILM), 400);
});

test("without a film times are unchanged", () => assert.equal(play().clock(480, null), 480));
