import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { advance, clock, countRepaints, FakeElement, FakeResizeObserver, FakeVideo, installBrowser, OldVideo, repaint } from "./fakes.js";

const document = installBrowser();
const { drawFrames, FrameForecast, LoopClock, watchFrames, watchRepaints } = await import("../../../service/danmatte/web/frame-clock.js");

const INTERVAL = 1000 / 60; // from one repaint to the next

beforeEach(() => {
  delete globalThis.VideoFrame;
});

/**
 * A screen that shows frames of a film at 60 repaints a second, and a browser that announces each one before the
 * repaint that shows it, or after it if `late` says so. Returns the error of each repaint's forecast, in frames.
 */
function watchFilm({ fps, rate = 1, late = () => false, count = 120, stall = () => false }) {
  const forecast = new FrameForecast();
  const off = [];
  let [shown, presentedFrames, waiting, media] = [-1, 0, null, 3];
  for (let number = 0; number < count; number++) {
    const now = number * INTERVAL;
    if (!stall(number)) media += rate * INTERVAL;
    const frame = Math.floor((media * fps) / 1000);
    forecast.addRepaint(now);
    if (waiting) forecast.addFrame(now, waiting, rate);
    waiting = null;
    if (frame !== shown) {
      const announced = { mediaTime: frame / fps, expectedDisplayTime: now + INTERVAL, presentedFrames: ++presentedFrames };
      if (late(number)) waiting = announced;
      else forecast.addFrame(now, announced, rate);
      shown = frame;
    }
    const ms = forecast.predict(now, rate);
    if (ms !== null) off.push(Math.round((ms * fps) / 1000) - frame);
  }
  return off;
}

for (const [fps, rate] of [[25, 1], [25, 2], [24, 1], [30, 1], [30, 1.5], [60, 1], [60, 2], [12, 1], [25, 0.5]]) {
  test(`${fps} frames per second at rate ${rate} are predicted although many are announced late`, () => {
    const off = watchFilm({ fps, rate, late: (number) => (number * 7) % 5 < 2 }).slice(30);
    assert.ok(off.length > 60);
    assert.ok(off.filter((frames) => frames !== 0).length <= off.length / 50, `${off}`);
    assert.ok(off.every((frames) => Math.abs(frames) <= 1), `${off}`);
  });
}

test("nothing is predicted from the first frame alone", () => {
  const forecast = new FrameForecast();
  assert.equal(forecast.predict(0, 1), null);
  forecast.addFrame(INTERVAL, { mediaTime: 0.04, expectedDisplayTime: INTERVAL, presentedFrames: 1 }, 2);
  assert.equal(forecast.predict(INTERVAL, 2), 40);
  assert.equal(forecast.predict(1000, 2), 40);
});

test("predictions don't run far ahead of a stalled video", () => {
  const off = watchFilm({ fps: 25, count: 200, stall: (number) => number > 60 && number < 120 });
  assert.ok(Math.max(...off) <= 2, `${off}`);
  assert.ok(off.slice(-40).every((frames) => Math.abs(frames) <= 1), `${off}`);
});

/** A forecast after this many frames at 25 a second, each announced at its repaint. */
function learn(count, rate = 1, from = 0) {
  const forecast = new FrameForecast();
  for (let number = 0; number < count; number++) {
    const now = (number * 40) / rate;
    forecast.addRepaint(now);
    const frame = { mediaTime: from + number / 25, expectedDisplayTime: now + INTERVAL, presentedFrames: number };
    forecast.addFrame(now, frame, rate);
  }
  return forecast;
}

test("without playback or past the end the time is that of the last frame", () => {
  const forecast = learn(6);
  assert.equal(forecast.predict(200, 1), 200);
  assert.equal(forecast.predict(245, 1), 240);
  assert.equal(forecast.predict(245, 1, 220), 200);
  assert.equal(forecast.predict(245, 0), 200);
});

test("a changed playback rate resets the forecast", () => {
  const forecast = learn(6);
  assert.equal(forecast.predict(245, 2), 200, "frames of the old rate aren't used for the new one");
  forecast.addFrame(240, { mediaTime: 0.28, expectedDisplayTime: 240 + INTERVAL, presentedFrames: 6 }, 2);
  assert.equal(forecast.predict(300, 2), 280);
});

test("frames before a seek aren't used for predictions", () => {
  for (const mediaTime of [30, 0.04]) {
    const forecast = learn(6, 1, 1);
    forecast.addFrame(240, { mediaTime, expectedDisplayTime: 240 + INTERVAL, presentedFrames: 6 }, 1);
    assert.equal(forecast.predict(320, 1), 1000 * mediaTime);
  }
});

test("frames that were never announced don't lengthen the frame duration", () => {
  const forecast = learn(6);
  for (const now of [240, 280]) forecast.addRepaint(now);
  forecast.addFrame(280, { mediaTime: 0.28, expectedDisplayTime: 280 + INTERVAL, presentedFrames: 7 }, 1);
  assert.equal(forecast.predict(325, 1), 320, "40 ms from one to the next, not 80");
});

test("after a stall predictions start from the new frame", () => {
  const forecast = learn(6);
  forecast.addFrame(640, { mediaTime: 0.24, expectedDisplayTime: 640 + INTERVAL, presentedFrames: 6 }, 1);
  assert.equal(forecast.predict(660, 1), 240);
});

test("a frame announced in time is used even if it is shown late", () => {
  const forecast = learn(6);
  forecast.addRepaint(300);
  forecast.addFrame(300, { mediaTime: 0.24, expectedDisplayTime: 300 + INTERVAL, presentedFrames: 6 }, 1);
  assert.equal(forecast.predict(300, 1), 240);
});

test("predictions are limited to a short time after the last frame", () => {
  const forecast = learn(8);
  assert.ok(forecast.predict(2000, 1) <= 280 + 40 + 60);
});

test("every announced frame is reported in milliseconds until stopped", () => {
  const video = new FakeVideo({ readyState: 1 });
  const seen = [];
  const stop = watchFrames(video, (ms) => seen.push(ms));
  video.show(40);
  video.show(80);
  assert.deepEqual(seen, [40, 80]);
  stop();
  assert.ok(!video.watched);
  video.emit("loadeddata");
  assert.equal(seen.length, 2);
});

test("the first frame of a paused video is reported without an announcement", () => {
  const seen = [];
  const stop = watchFrames(new FakeVideo({ readyState: 2, currentTime: 1.5 }), (ms) => seen.push(ms));
  assert.deepEqual(seen, [1493]);
  stop();
  const loading = new FakeVideo({ readyState: 0 });
  watchFrames(loading, (ms) => seen.push(ms));
  assert.equal(seen.length, 1);
  loading.currentTime = 2;
  loading.emit("loadeddata");
  assert.deepEqual(seen, [1493, 1993]);
});

test("without announcements the video's time is read before every repaint", () => {
  const video = new OldVideo({ readyState: 2, currentTime: 1 });
  const seen = [];
  const stop = watchFrames(video, (ms) => seen.push(ms));
  assert.deepEqual(seen, [993], "within a frame: masks are found with a tolerance");
  repaint();
  repaint();
  assert.deepEqual(seen, [993, 993], "an unchanged time is reported once");
  video.currentTime = 1.04;
  repaint();
  video.seeking = true;
  video.currentTime = 9;
  repaint();
  assert.deepEqual(seen, [993, 993, 1033], "while it seeks the old frame is on the screen");
  video.seeking = false;
  video.emit("seeked");
  assert.equal(seen.at(-1), 8993);
  stop();
  video.currentTime = 10;
  video.emit("timeupdate");
  assert.equal(countRepaints(), 0);
  assert.equal(seen.length, 4);
});

test("during playback each repaint reports the frame that it will show", () => {
  const video = new FakeVideo({ readyState: 4 });
  const seen = [];
  const stop = watchRepaints(video, (ms) => seen.push(ms));
  for (let number = 0; number < 8; number++) {
    if (number % 2) repaint();
    else video.show(number * 20, clock.now + 20);
    advance(20);
  }
  seen.length = 0;
  repaint(); // the frame of 160 ms isn't announced in time
  assert.deepEqual(seen, [160]);
  repaint();
  assert.deepEqual(seen, [160], "the same frame is reported once");
  video.show(160, clock.now + 20);
  assert.deepEqual(seen, [160]);
  stop();
  assert.equal(countRepaints(), 0);
  assert.ok(!video.watched);
});

for (const state of [{ paused: true }, { seeking: true }, { ended: true }, { readyState: 2 }]) {
  test(`nothing is predicted when ${Object.keys(state)} is ${Object.values(state)}`, () => {
    const video = new FakeVideo({ readyState: 4 });
    const seen = [];
    const stop = watchRepaints(video, (ms) => seen.push(ms));
    for (let number = 0; number < 6; number++) {
      video.show(number * 40, clock.now + 20);
      repaint();
      advance(40);
    }
    Object.assign(video, state);
    seen.length = 0;
    advance(40);
    repaint();
    assert.ok(seen.every((ms) => ms === 200), `${seen}`);
    stop();
  });
}

test("without announcements repaints report the video's time", () => {
  const video = new OldVideo({ readyState: 4, currentTime: 0.2 });
  const seen = [];
  const stop = watchRepaints(video, (ms) => seen.push(ms));
  video.currentTime = 0.24;
  repaint();
  assert.deepEqual(seen, [193, 233]);
  stop();
});

/** A video on a page, and the drawing over it. */
function startDrawing(properties = {}) {
  const [stage, video, layer] = [new FakeElement(), new FakeVideo({ readyState: 1, ...properties }), new FakeElement()];
  stage.append(video, layer);
  Object.assign(video, { offsetParent: stage, offsetLeft: 10, offsetTop: 20, clientLeft: 1, clientTop: 2 });
  const seen = [];
  const stop = drawFrames(video, (ms) => seen.push(ms));
  return { stage, video, layer, seen, stop, canvas: stage.children[1] };
}

test("the canvas lies over the video's content and under the comments", () => {
  const { stage, video, layer, canvas, stop } = startDrawing({ computed: { objectFit: "cover", padding: "3px" } });
  assert.deepEqual(stage.children, [video, canvas, layer]);
  video.show(0);
  const { left, top, width, height, objectFit, padding } = canvas.style;
  assert.deepEqual([left, top, width, height], ["11px", "22px", "320px", "180px"]);
  assert.deepEqual([objectFit, padding], ["cover", "3px"]);
  assert.match(canvas.style.cssText, /pointer-events:none/);
  stop();
  assert.deepEqual(stage.children, [video, layer]);
});

test("the canvas has the video's transforms, filter and visibility", () => {
  const computed = { scale: "-1 1", rotate: "90deg", translate: "10px", filter: "grayscale(1)", visibility: "hidden", clipPath: "inset(1px)" };
  const { canvas, stop } = startDrawing({ computed });
  FakeResizeObserver.notify(canvas.parent);
  assert.deepEqual(Object.fromEntries(Object.keys(computed).map((name) => [name, canvas.style[name]])), computed);
  stop();
});

test("the canvas follows the video's position", () => {
  const { stage, video, canvas, stop } = startDrawing();
  video.show(0);
  video.offsetLeft = 50;
  video.show(40);
  assert.equal(canvas.style.left, "11px");
  FakeResizeObserver.notify(stage);
  assert.equal(canvas.style.left, "51px");
  video.offsetLeft = 70;
  advance(501);
  video.show(80);
  assert.equal(canvas.style.left, "71px");
  stop();
  video.offsetLeft = 90;
  FakeResizeObserver.notify(video);
  assert.equal(canvas.style.left, "71px");
});

test("the drawn frame's timestamp is reported and the frame is closed", () => {
  const { video, seen, canvas, stop } = startDrawing();
  let closed = 0;
  globalThis.VideoFrame = class {
    timestamp = 123_000;
    close() {
      closed += 1;
    }
  };
  video.show(80);
  assert.deepEqual(seen, [123]);
  assert.equal(closed, 1);
  assert.ok(canvas.getContext().drawings[0].source instanceof globalThis.VideoFrame);
  stop();
});

test("without VideoFrame timestamps the announced time is reported", () => {
  const { video, seen, canvas, stop } = startDrawing();
  video.show(80); // there is no VideoFrame
  globalThis.VideoFrame = class {
    constructor() {
      throw new DOMException("from elsewhere", "SecurityError");
    }
  };
  video.show(120);
  assert.deepEqual(seen, [80, 120]);
  assert.ok(canvas.getContext().drawings.every(({ source }) => source === video));
  stop();
});

test("timestamps of a camera's frames aren't used", () => {
  const { video, seen, stop } = startDrawing({ srcObject: {} });
  globalThis.VideoFrame = class {
    timestamp = 9_000_000;
    close() {}
  };
  video.show(80);
  assert.deepEqual(seen, [80]);
  stop();
});

test("the canvas has the video's resolution and is cleared with the video", () => {
  const { video, canvas, stop } = startDrawing({ videoWidth: 640, videoHeight: 360 });
  video.show(0);
  assert.deepEqual([canvas.width, canvas.height], [640, 360]);
  assert.deepEqual(canvas.getContext().drawings[0].box, [0, 0, 640, 360]);
  video.emit("emptied");
  assert.equal(canvas.width, 0);
  video.show(40);
  assert.equal(canvas.width, 640);
  stop();
  video.emit("emptied");
  assert.equal(canvas.width, 640);
});

test("a video without an offset parent is observed together with the page", () => {
  const video = new FakeVideo({ readyState: 1, offsetParent: null });
  const stop = drawFrames(video, () => {});
  assert.ok(FakeResizeObserver.all.at(-1).elements.includes(document.body));
  stop();
});

/** The announcements of Firefox during a loop: [announced, currentTime] in milliseconds, and whether a frame was dropped before. */
function unroll(frames, { duration, count = 1 }) {
  const clock = new LoopClock();
  let presented = count - 1;
  return frames.map(([ms, now, dropped = 0]) => {
    presented += 1 + dropped;
    return clock.unroll(ms, { mozHasAudio: false, currentTime: now / 1000, duration, loop: true }, presented);
  });
}

test("times that continue over loops are mapped to the current round", () => {
  assert.deepEqual(unroll([[0, 0], [1960, 1962], [2000, 1984], [2040, 24], [3960, 1967], [4000, 7]], { duration: 2 }), [0, 1960, 0, 40, 1960, 0]);
});

test("a round starts with its first frame whatever the stated length is", () => {
  // Measured with a clip whose sound starts later than its pictures.
  const frames = [[0, 0], [1960, 1978], [2054.1, 4], [2094.1, 44], [4014.1, 1966], [4108.3, 2046.6], [4148.3, 33]];
  const found = unroll(frames, { duration: 2.046621 }).map(Math.round);
  assert.deepEqual(found, [0, 1960, 0, 40, 1960, 0, 40]);
});

test("a late start of the pictures is repeated in every round", () => {
  assert.deepEqual(unroll([[327, 0], [367, 362], [2287, 2291], [2654, 327], [4614, 2287], [4981, 330]], { duration: 2.327 }), [327, 367, 2287, 327, 2287, 327]);
});

test("if the first frame was dropped, the length determines where a round began", () => {
  assert.deepEqual(unroll([[0, 0], [1960, 1962], [2080, 70, 1], [3960, 1970], [6040, 41, 1]], { duration: 2 }), [0, 1960, 80, 1960, 40]);
  assert.deepEqual(unroll([[1000, 1000], [1960, 1962], [2000, 3]], { duration: 2, count: 30 }), [1000, 1960, 0]);
});

test("complete rounds determine the length of incomplete ones", () => {
  // The last sound packet ends 12 ms after the duration.
  const frames = [[0, 0], [1960, 1962], [2012, 9], [3972, 1970], [4104, 80, 1], [5984, 1965], [6116, 90, 1]];
  assert.deepEqual(unroll(frames, { duration: 2 }), [0, 1960, 0, 1960, 80, 1960, 80]);
});

test("a seek resets the clock, and a length that grows isn't a loop", () => {
  assert.deepEqual(unroll([[0, 0], [1960, 1960], [2000, 2], [1000, 1000], [1960, 1970], [2000, 9]], { duration: 2 }), [0, 1960, 0, 1000, 1960, 0]);
  assert.deepEqual(unroll([[0, 0], [1280, 1281], [1320, 1322], [1480, 1484]], { duration: 1.3 }), [0, 1280, 1320, 1480]);
});

test("in other browsers times are unchanged", () => {
  assert.equal(new LoopClock().unroll(12_600, { currentTime: 12.6, duration: 12.56, loop: true }, 1), 12_600);
});

test("the first frame of a paused video is reported by its VideoFrame timestamp", () => {
  const film = { readyState: 2, currentTime: 1.236 };
  const seen = [];
  watchFrames(new FakeVideo(film), (ms) => seen.push(ms))();
  globalThis.VideoFrame = class {
    timestamp = 1_200_000;
    close() {}
  };
  watchFrames(new FakeVideo(film), (ms) => seen.push(ms))();
  watchFrames(new FakeVideo({ ...film, currentTime: 99 }), (ms) => seen.push(ms))();
  watchFrames(new FakeVideo({ ...film, srcObject: {} }), (ms) => seen.push(ms))();
  watchFrames(new FakeVideo({ ...film, mozHasAudio: false }), (ms) => seen.push(ms))();
  assert.deepEqual(seen, [1229, 1200, 98_993, 1229, 1229], "not by a clock of its own, nor a camera's, nor Firefox's");
});

test("a requested time in Firefox is reported as within a frame", () => {
  const video = new FakeVideo({ readyState: 1, mozHasAudio: false, paused: true });
  const seen = [];
  const stop = watchFrames(video, (ms) => seen.push(Math.round(ms)));
  video.show(1236);
  Object.assign(video, { paused: false });
  video.show(1280);
  stop();
  assert.deepEqual(seen, [1229, 1280]);
});

test("repaints are requested from the window that contains the video", () => {
  const view = { callbacks: [], requestAnimationFrame: (callback) => view.callbacks.push(callback), cancelAnimationFrame: (id) => (view.cancelled = id) };
  const video = new FakeVideo({ readyState: 1 });
  repaint();
  const before = countRepaints();
  const stop = watchRepaints(video, () => {});
  assert.equal(countRepaints(), before + 1);
  video.ownerDocument = { defaultView: view };
  repaint();
  assert.deepEqual([countRepaints(), view.callbacks.length], [before, 1]);
  stop();
  assert.equal(view.cancelled, 1);
});
