import assert from "node:assert/strict";
import { test } from "node:test";

import { advance, FakeVideo, flush, installBrowser } from "./fakes.js";

const document = installBrowser();
const { startLookAhead } = await import("../../../service/danmatte/web/look-ahead.js");

/** A film and the copy that runs ahead of it, both loaded. */
function start(properties = {}, ahead = 0.7) {
  const video = new FakeVideo({ currentSrc: "http://test/film.mp4", duration: 60, ...properties });
  const frames = [];
  const { stop } = startLookAhead(video, ahead, (ms, copy) => frames.push([ms, copy]));
  const copy = document.made.at(-1);
  copy.duration = video.duration;
  copy.currentTime = video.currentTime;
  return { video, copy, frames, stop };
}

test("the copy is the same film, muted and with the same crossOrigin", () => {
  const { copy, stop } = start({ crossOrigin: "anonymous" });
  assert.equal(copy.src, "http://test/film.mp4");
  assert.deepEqual([copy.muted, copy.preload, copy.crossOrigin], [true, "auto", "anonymous"]);
  stop();
});

test("frames of the copy are reported with their own time", () => {
  const { copy, frames, stop } = start();
  frames.length = 0;
  copy.show(740);
  assert.deepEqual(frames, [[740, copy]]);
  stop();
});

test("the copy seeks ahead only if it is far from its place", () => {
  const { video, copy, stop } = start({ currentTime: 10 });
  advance(200);
  assert.equal(copy.currentTime, 10.7);
  video.currentTime = 10.3; // the copy would be at 11: it is 0.3 s off
  advance(200);
  assert.equal(copy.currentTime, 10.7);
  video.currentTime = 10.5;
  advance(200);
  assert.equal(copy.currentTime, 11.2);
  stop();
});

test("the copy follows a seek immediately", () => {
  const { video, copy, stop } = start();
  video.currentTime = 30;
  video.emit("seeked");
  assert.equal(copy.currentTime, 30.7);
  stop();
});

test("a copy that is seeking or not loaded isn't moved", () => {
  const { video, copy, stop } = start({ currentTime: 10 });
  for (const state of [{ seeking: true }, { seeking: false, readyState: 0 }]) {
    Object.assign(copy, state);
    video.emit("seeked");
    assert.equal(copy.currentTime, 10);
  }
  stop();
});

test("the copy stops at the end of a film or wraps around in a loop", () => {
  const ending = start({ currentTime: 59.9 });
  ending.copy.currentTime = 30;
  ending.video.emit("seeked");
  assert.equal(ending.copy.currentTime, 60);
  ending.stop();
  const looping = start({ currentTime: 59.9, loop: true });
  looping.copy.currentTime = 30;
  looping.video.emit("seeked");
  assert.ok(Math.abs(looping.copy.currentTime - 0.6) < 1e-9);
  assert.ok(looping.copy.loop);
  looping.stop();
});

test("a copy that has ended isn't played until the film seeks back", () => {
  const { video, copy, stop } = start({ currentTime: 59.5 });
  video.play();
  // Browsers do this at the end of a film that doesn't loop.
  Object.assign(copy, { currentTime: 60, paused: true, ended: true });
  advance(600);
  assert.deepEqual([copy.paused, copy.currentTime], [true, 60]);
  video.currentTime = 10;
  copy.ended = false; // once it has moved away from the end
  video.emit("seeked");
  assert.deepEqual([copy.paused, copy.currentTime], [false, 10.7]);
  stop();
});

test("distances to the copy are measured across the end of a loop", () => {
  const { video, copy, stop } = start({ currentTime: 59.4, loop: true });
  copy.currentTime = 59.9; // it should be at 0.1, 0.2 s later
  video.emit("seeked");
  assert.equal(copy.currentTime, 59.9);
  stop();
});

test("the copy plays and pauses with the film at its rate", () => {
  const { video, copy, stop } = start();
  video.playbackRate = 2;
  video.pause();
  assert.deepEqual([copy.paused, copy.playbackRate], [true, 2]);
  video.play();
  assert.ok(!copy.paused);
  stop();
});

test("playing a blocked copy is retried without an error", async () => {
  const { video, copy, stop } = start();
  let tries = 0;
  copy.paused = true;
  copy.play = () => {
    tries += 1;
    return Promise.reject(new DOMException("not yet", "NotAllowedError"));
  };
  video.emit("play");
  advance(200);
  await flush(); // an unhandled rejection would fail this test
  assert.equal(tries, 2);
  stop();
});

test("stopping releases the copy", () => {
  const { video, copy, frames, stop } = start();
  frames.length = 0;
  stop();
  assert.deepEqual([copy.src, copy.loads], ["", 1]);
  assert.ok(!copy.watched);
  video.currentTime = 30;
  video.emit("seeked");
  advance(1000);
  assert.equal(copy.currentTime, 0);
  assert.deepEqual(frames, []);
});
