import assert from "node:assert/strict";
import { test } from "node:test";

import { advance, FakeElement, FakeResizeObserver, installBrowser } from "./fakes.js";

const document = installBrowser();
const { Comments } = await import("../../../service/danmatte/web/comments.js");
const { DEMO_COMMENTS } = await import("../../../service/danmatte/web/demo-comments.js");

const WIDTH = 1000;
const TEXTS = ["one", "two", "three"];

/** A layer of comments of equal size, with random numbers given by a test one after another (then 0.5). */
function start({ size = 100, chances = [], width = WIDTH } = {}) {
  const layer = new FakeElement();
  layer.box = { x: 0, y: 0, width, height: 600 };
  const { createElement } = document;
  document.createElement = (tag) => Object.assign(new FakeElement(tag), { layoutWidth: size });
  const comments = new Comments(layer, TEXTS, () => chances.shift() ?? 0.5);
  comments.fill();
  const restore = () => (document.createElement = createElement);
  return { layer, comments, restore };
}

const findStart = ({ keyframes }) => Number(keyframes.transform[0].match(/-?[\d.]+/)[0]);

/** The comments, grouped by the position of their lanes. */
function lanes(layer) {
  const found = new Map();
  for (const span of layer.children) found.set(span.style.top, [...(found.get(span.style.top) ?? []), span]);
  return found;
}

test("lanes are filled from the start over the upper part of the layer", () => {
  const { layer, restore } = start();
  const tops = [...lanes(layer).keys()].map(parseFloat);
  assert.equal(tops.length, 12);
  assert.ok(Math.min(...tops) > 0 && Math.max(...tops) < 0.86 * 600);
  for (const spans of lanes(layer).values()) assert.ok(spans.length >= 3, "comments all along the lane");
  restore();
});

test("comments of a lane don't overlap", () => {
  const { layer, restore } = start();
  for (const spans of lanes(layer).values()) {
    const places = spans.map((span) => findStart(span.animations[0]));
    places.slice(1).forEach((place, at) => assert.ok(place >= places[at] + 100 + 0.05 * WIDTH, `${places}`));
  }
  restore();
});

test("texts are repeated in order", () => {
  const { layer, restore } = start({ size: 120 });
  const texts = layer.children.map(({ textContent }) => textContent);
  texts.forEach((text, at) => assert.equal(text, TEXTS[at % 3]));
  restore();
});

test("every comment moves out at the left with its lane's speed", () => {
  const { layer, restore } = start();
  for (const span of layer.children) {
    const [{ keyframes, options }] = span.animations;
    assert.equal(keyframes.transform[1], "translateX(-100px)");
    const speed = (findStart({ keyframes }) + 100) / (options.duration / 1000);
    assert.ok(speed >= 0.1 * WIDTH - 1e-6 && speed <= 0.15 * WIDTH + 1e-6, `${speed}`);
  }
  const [span] = layer.children;
  span.animations[0].onfinish();
  assert.ok(!layer.children.includes(span));
  restore();
});

test("comments that would already be out of the layer aren't shown", () => {
  const { layer, restore } = start({ size: 10, chances: Array(12).fill(0.5).concat([1]) });
  for (const span of layer.children) assert.ok(findStart(span.animations[0]) + 10 > 0);
  restore();
});

test("comments move only while the video plays", () => {
  const { layer, comments, restore } = start();
  const states = () => new Set(layer.getAnimations().map(({ playState, playbackRate }) => `${playState} ${playbackRate}`));
  assert.deepEqual([...states()], ["paused 1"]);
  comments.setPace(true, 2);
  assert.deepEqual([...states()], ["running 2"]);
  comments.setPace(false, 2);
  assert.deepEqual([...states()], ["paused 2"]);
  restore();
});

/** Moves all comments so far that their lanes are free. */
function empty(layer) {
  for (const animation of layer.getAnimations()) animation.currentTime = animation.options.duration;
}

test("a lane gets a new comment once its last one is completely visible", () => {
  const { layer, comments, restore } = start();
  comments.setPace(true, 1);
  const count = layer.children.length;
  advance(120);
  assert.equal(layer.children.length, count, "there is no room yet");
  empty(layer);
  advance(120);
  const added = layer.children.slice(count);
  assert.equal(added.length, 12);
  for (const span of added) {
    assert.equal(findStart(span.animations[0]), WIDTH);
    assert.equal(span.animations[0].playState, "running");
  }
  restore();
});

test("no comments are added while the video is paused", () => {
  const { layer, restore } = start();
  const count = layer.children.length;
  empty(layer);
  advance(1200);
  assert.equal(layer.children.length, count);
  restore();
});

test("a viewer's comment is shown once with its own style", () => {
  const { layer, comments, restore } = start();
  comments.setPace(true, 1);
  comments.say("hello");
  const find = () => layer.children.filter(({ textContent }) => textContent === "hello");
  assert.equal(find().length, 0);
  for (let times = 0; times < 3; times++) {
    empty(layer);
    advance(120);
  }
  assert.equal(find().length, 1);
  assert.equal(find()[0].className, "own");
  assert.equal(find()[0].style.color, undefined);
  restore();
});

test("two comments of a viewer are shown one after the other", () => {
  const { layer, comments, restore } = start();
  comments.setPace(true, 1);
  comments.say("first");
  comments.say("second");
  const own = () => layer.children.filter(({ className }) => className === "own").map(({ textContent }) => textContent);
  empty(layer);
  advance(120);
  assert.deepEqual(own(), ["first"]);
  empty(layer);
  advance(120);
  assert.deepEqual(own(), ["first", "second"]);
  restore();
});

test("some comments are coloured but most are white", () => {
  const layer = new FakeElement();
  layer.box = { x: 0, y: 0, width: WIDTH, height: 600 };
  const { createElement } = document;
  document.createElement = (tag) => Object.assign(new FakeElement(tag), { layoutWidth: 40 });
  let state = 11;
  new Comments(layer, TEXTS, () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647).fill();
  document.createElement = createElement;
  const colours = layer.children.map(({ style }) => style.color);
  const share = colours.filter(Boolean).length / colours.length;
  assert.ok(colours.length > 40 && share > 0.1 && share < 0.5, `${share} of ${colours.length}`);
  assert.ok(new Set(colours).size > 2);
});

test("a changed size fills the lanes again, and a size of 0 removes comments", () => {
  const { layer, restore } = start();
  const [first] = layer.children;
  layer.box = { x: 0, y: 0, width: 400, height: 300 };
  FakeResizeObserver.notify(layer);
  assert.ok(!layer.children.includes(first));
  assert.ok(layer.children.every(({ style }) => parseFloat(style.top) < 300));
  layer.box = { x: 0, y: 0, width: 0, height: 0 };
  FakeResizeObserver.notify(layer);
  assert.equal(layer.children.length, 0);
  restore();
});

test("the demo page has enough short comments without duplicates", () => {
  assert.ok(DEMO_COMMENTS.length >= 36, "three to a lane");
  assert.equal(new Set(DEMO_COMMENTS).size, DEMO_COMMENTS.length);
  assert.ok(DEMO_COMMENTS.every((text) => text.length > 0 && text.length <= 30));
});
