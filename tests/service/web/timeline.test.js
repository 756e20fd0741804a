import assert from "node:assert/strict";
import { test } from "node:test";

import { countUntil, SLACK_MS, Timeline } from "../../../service/danmatte/web/timeline.js";

const filled = (...times) => {
  const timeline = new Timeline();
  for (const pts of times) timeline.add({ pts });
  return timeline;
};

test("a frame has the newest mask that is not after it", () => {
  const timeline = filled(0, 40, 80);
  assert.equal(timeline.at(40).pts, 40);
  assert.equal(timeline.at(71).pts, 40);
  assert.equal(timeline.at(500).pts, 80);
});

test("a timestamp that was rounded up still finds its mask", () => {
  assert.equal(filled(0, 33, 67).at(66.667).pts, 67);
  assert.equal(filled(0, 17, 33).at(33 - SLACK_MS - 1).pts, 17);
});

test("before the first mask there is none", () => {
  assert.equal(filled(1000).at(500), null);
  assert.equal(filled().at(0), null);
});

test("masks may come in any order, and twice", () => {
  const timeline = filled(80, 0, 40);
  const again = { pts: 40 };
  timeline.add(again);
  assert.equal(timeline.at(45), again);
  assert.equal(timeline.at(0).pts, 0);
});

test("the oldest arrivals are forgotten when they take too much room", () => {
  const timeline = new Timeline(5000);
  for (const pts of [100, 0, 200, 300]) timeline.add({ pts, shape: { bytes: 1000 } });
  assert.equal(timeline.at(150).pts, 0);
  assert.equal(timeline.at(250).pts, 200);
  timeline.add({ pts: 200, shape: { bytes: 4000 } });
  assert.equal(timeline.at(150), null);
  assert.equal(timeline.at(300).pts, 200);
});

test("a mask that is larger than all the room is kept as long as it is the newest", () => {
  const timeline = new Timeline(100);
  timeline.add({ pts: 0, shape: { bytes: 1000 } });
  assert.equal(timeline.at(0).pts, 0);
  timeline.add({ pts: 40, shape: { bytes: 1000 } });
  assert.equal(timeline.at(0), null);
});

test("counting finds the place among equals", () => {
  const items = [1, 2, 2, 5].map((pts) => ({ pts }));
  assert.deepEqual([0, 1, 2, 4, 9].map((ms) => countUntil(items, ms)), [0, 1, 3, 3, 4]);
});
