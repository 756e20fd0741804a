import assert from "node:assert/strict";
import { test } from "node:test";

import { countUntil, SLACK_MS, Timeline } from "../../../service/danmatte/web/timeline.js";

const fill = (...times) => {
  const timeline = new Timeline();
  for (const pts of times) timeline.add({ pts });
  return timeline;
};

test("the mask of a frame is the newest one that isn't after it", () => {
  const timeline = fill(0, 40, 80);
  assert.equal(timeline.find(40).pts, 40);
  assert.equal(timeline.find(71).pts, 40);
  assert.equal(timeline.find(500).pts, 80);
});

test("a mask whose timestamp was rounded up is still found", () => {
  assert.equal(fill(0, 33, 67).find(66.667).pts, 67);
  assert.equal(fill(0, 17, 33).find(33 - SLACK_MS - 1).pts, 17);
});

test("no mask is found before the first one", () => {
  assert.equal(fill(1000).find(500), null);
  assert.equal(fill().find(0), null);
});

test("masks can arrive in any order and twice", () => {
  const timeline = fill(80, 0, 40);
  const again = { pts: 40 };
  timeline.add(again);
  assert.equal(timeline.find(45), again);
  assert.equal(timeline.find(0).pts, 0);
});

test("the oldest arrivals are evicted when they exceed the size limit", () => {
  const timeline = new Timeline(5000);
  for (const pts of [100, 0, 200, 300]) timeline.add({ pts, shape: { bytes: 1000 } });
  assert.equal(timeline.find(150).pts, 0);
  assert.equal(timeline.find(250).pts, 200);
  timeline.add({ pts: 200, shape: { bytes: 4000 } });
  assert.equal(timeline.find(150), null);
  assert.equal(timeline.find(300).pts, 200);
});

test("a mask larger than the size limit is kept while it is the newest", () => {
  const timeline = new Timeline(100);
  timeline.add({ pts: 0, shape: { bytes: 1000 } });
  assert.equal(timeline.find(0).pts, 0);
  timeline.add({ pts: 40, shape: { bytes: 1000 } });
  assert.equal(timeline.find(0), null);
});

test("countUntil counts equal times", () => {
  const items = [1, 2, 2, 5].map((pts) => ({ pts }));
  assert.deepEqual([0, 1, 2, 4, 9].map((ms) => countUntil(items, ms)), [0, 1, 3, 3, 4]);
});

test("countUntil of an empty list is 0", () => {
  assert.equal(countUntil([], 5), 0);
});

test("for any order of arrival, a lookup equals a search through all masks", () => {
  let state = 7;
  const next = (limit) => (state = (state * 16_807) % 2_147_483_647) % limit;
  const timeline = new Timeline();
  const masks = Array.from({ length: 200 }, () => ({ pts: next(5000) }));
  for (const mask of masks) timeline.add(mask);
  for (let ms = -20; ms < 5100; ms += 13) {
    const best = Math.max(...masks.map(({ pts }) => (pts <= ms + SLACK_MS ? pts : -Infinity)));
    assert.equal(timeline.find(ms)?.pts ?? -Infinity, best);
  }
});

test("a mask without an outline counts towards the size limit", () => {
  const timeline = new Timeline(1000);
  for (const pts of [0, 40, 80]) timeline.add({ pts });
  assert.equal(timeline.find(0), null);
  assert.equal(timeline.find(40).pts, 40);
});

test("replacing a mask frees its size", () => {
  const timeline = new Timeline(4000);
  timeline.add({ pts: 0, shape: { bytes: 100 } });
  for (let times = 0; times < 10; times++) timeline.add({ pts: 40, shape: { bytes: 1000 } });
  assert.equal(timeline.find(0).pts, 0);
  assert.equal(timeline.find(40).pts, 40);
});

test("a mask that arrives again counts as the newest arrival", () => {
  const timeline = new Timeline(1500);
  for (const pts of [0, 40, 80]) timeline.add({ pts });
  timeline.add({ pts: 0 });
  timeline.add({ pts: 120 });
  assert.equal(timeline.find(0).pts, 0);
  assert.equal(timeline.find(45).pts, 0, "40 arrived before it and was evicted first");
});
