import assert from "node:assert/strict";
import { test } from "node:test";

import { Forecast } from "../../../service/danmatte/web/clock.js";

const BEAT = 1000 / 60;

/**
 * A screen that shows frames of a video at 60 repaints a second, and a browser that announces each one before the
 * repaint that shows it, or after it where `late` says so; how far off the forecast of each repaint was, in frames.
 */
function watched({ fps, rate = 1, late = () => false, beats = 120, stall = () => false }) {
  const forecast = new Forecast();
  const off = [];
  let [shown, count, waiting, media] = [-1, 0, null, 3];
  for (let beat = 0; beat < beats; beat++) {
    const now = beat * BEAT;
    if (!stall(beat)) media += rate * BEAT;
    const number = Math.floor((media * fps) / 1000);
    forecast.tick(now);
    if (waiting) forecast.see(now, waiting, rate);
    waiting = null;
    if (number !== shown) {
      const frame = { mediaTime: number / fps, expectedDisplayTime: now + BEAT, presentedFrames: ++count };
      if (late(beat)) waiting = frame;
      else forecast.see(now, frame, rate);
      shown = number;
    }
    const ms = forecast.at(now, rate);
    if (ms !== null) off.push(Math.round((ms * fps) / 1000) - number);
  }
  return off;
}

for (const [fps, rate] of [[25, 1], [25, 2], [24, 1], [30, 1], [30, 1.5], [60, 1], [60, 2], [12, 1], [25, 0.5]]) {
  test(`${fps} frames a second at rate ${rate}, many announced late: none is missed`, () => {
    const off = watched({ fps, rate, late: (beat) => (beat * 7) % 5 < 2 }).slice(30);
    assert.ok(off.length > 60);
    assert.ok(off.filter((frames) => frames !== 0).length <= off.length / 50, `${off}`);
    assert.ok(off.every((frames) => Math.abs(frames) <= 1), `${off}`);
  });
}

test("without a forecast late announcements would be behind", () => {
  const forecast = new Forecast();
  forecast.see(BEAT, { mediaTime: 0.04, expectedDisplayTime: BEAT, presentedFrames: 1 }, 2);
  assert.equal(forecast.at(BEAT, 2), 40);
});

test("a video that stalls isn't run ahead of for long", () => {
  const off = watched({ fps: 25, beats: 200, stall: (beat) => beat > 60 && beat < 120 });
  assert.ok(Math.max(...off) <= 2, `${off}`);
  assert.ok(off.slice(-40).every((frames) => Math.abs(frames) <= 1), `${off}`);
});

test("at a standstill the time is the frame's own, and nothing is foreseen past the end", () => {
  const forecast = new Forecast();
  for (let number = 0; number < 6; number++) {
    const frame = { mediaTime: number / 25, expectedDisplayTime: number * 40 + BEAT, presentedFrames: number };
    forecast.tick(number * 40);
    forecast.see(number * 40, frame, 1);
  }
  assert.equal(forecast.at(200, 1), 200);
  assert.equal(forecast.at(245, 1), 240);
  assert.equal(forecast.at(245, 1, 220), 200);
  assert.equal(forecast.at(245, 0), 200);
});
