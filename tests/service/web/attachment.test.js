import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { advance, countRepaints, FakeElement, FakeResizeObserver, FakeSocket, FakeVideo, flush, installBrowser, OldVideo, repaint } from "./fakes.js";

const document = installBrowser();
globalThis.fetch = () => new Promise(() => {});
const { attach, Attachment, openLive, openTrack } = await import("../../../service/danmatte/web/danmatte.js");

const PERSON = { width: 32, height: 18, rings: [Float32Array.of(0, 0, 16, 0, 16, 18)] };
const EMPTY = { width: 32, height: 18, rings: [] };
const handles = [];

afterEach(() => {
  for (const handle of handles.splice(0)) handle.detach();
});

/** A source whose masks are set by a test, each with its time. */
class FakeSource {
  masks = new Map();
  wanted = [];
  closed = 0;
  onchange = () => {};

  at(ms) {
    return this.masks.get(ms) ?? null;
  }

  want(ms, video) {
    this.wanted.push([ms, video]);
  }

  close() {
    this.closed += 1;
  }

  /** Reports a new mask. */
  add(pts, outline = PERSON, properties = {}) {
    this.masks.set(pts, { pts, cut: false, held: false, coverage: 0.25, shape: { outline }, ...properties });
    this.onchange();
  }
}

/** A playing video with a layer of comments, and a new source unless one is given. */
function attachLayer(options = {}, properties = {}) {
  const [video, layer, source] = [new FakeVideo({ readyState: 1, ...properties }), new FakeElement(), new FakeSource()];
  const seen = [];
  const handle = attach(video, layer, { source, onframe: (stats) => seen.push({ ...stats }), ...options });
  handles.push(handle);
  return { video, layer, source, handle, seen };
}

test("comments are clipped where the person is in the shown frame", () => {
  const { video, layer, source, seen } = attachLayer();
  source.add(40);
  video.show(40);
  assert.equal(layer.style.clipPath, 'path(evenodd, "M-320 -180H640V360H-320ZM0 0L160 0L160 180Z")');
  const { time, pts, lag, state, coverage, held, frames, missed } = seen.at(-1);
  assert.deepEqual({ time, pts, lag, state, coverage, held, frames, missed }, {
    time: 40, pts: 40, lag: 0, state: "masked", coverage: 0.25, held: false, frames: 1, missed: 0,
  });
});

test("a mask of every shown frame is requested with its video", () => {
  const { video, source } = attachLayer();
  video.show(40);
  video.show(80);
  assert.deepEqual(source.wanted, [[40, video], [80, video]]);
});

test("the mask of an older frame has a lag", () => {
  const { video, source, seen } = attachLayer();
  source.masks.set(80, { pts: 40, held: true, coverage: 0.1, shape: { outline: PERSON } });
  video.show(80);
  assert.deepEqual([seen.at(-1).pts, seen.at(-1).lag, seen.at(-1).held], [40, 40, true]);
});

test("a frame without people doesn't clip comments", () => {
  const { video, layer, source, seen } = attachLayer();
  source.add(40, EMPTY);
  video.show(40);
  assert.deepEqual([layer.style.clipPath, layer.style.filter, seen.at(-1).state], ["none", "", "nobody"]);
});

test("comments are dimmed before the first frame", () => {
  assert.equal(attachLayer().layer.style.filter, "opacity(0.3)");
});

for (const [late, filter] of [["dim", "opacity(0.3)"], ["show", ""], ["hide", "opacity(0)"], [undefined, "opacity(0.3)"]]) {
  test(`without a mask, comments are shown by the option late: ${late}`, () => {
    const { video, layer, seen } = attachLayer({ late });
    video.show(40);
    assert.deepEqual([layer.style.filter, layer.style.clipPath], [filter, "none"]);
    const { state, pts, lag, coverage, missed } = seen.at(-1);
    assert.deepEqual({ state, pts, lag, coverage, missed }, { state: "late", pts: null, lag: null, coverage: 0, missed: 0 });
  });
}

test("frames without a mask are counted as missed", () => {
  const { video, source, handle } = attachLayer();
  video.show(40);
  source.add(80);
  video.show(80);
  video.show(120);
  assert.deepEqual([handle.stats.frames, handle.stats.missed], [3, 2]);
});

test("comments are dimmed immediately and restored with a transition", () => {
  const { video, layer, source } = attachLayer();
  source.add(40);
  video.show(40);
  assert.equal(layer.style.filter, "");
  assert.deepEqual(layer.animations.map(({ keyframes }) => keyframes.filter), [["opacity(0.3)", "none"]]);
  video.show(80);
  assert.equal(layer.style.filter, "opacity(0.3)");
  assert.equal(layer.animations.length, 1);
});

test("a filter set by the page is kept while masks are shown and after detaching", () => {
  const [video, layer, source] = [new FakeVideo({ readyState: 1 }), new FakeElement(), new FakeSource()];
  Object.assign(layer.style, { filter: "blur(1px)", clipPath: "circle(50%)" });
  const handle = attach(video, layer, { source });
  source.add(40);
  video.show(40);
  assert.equal(layer.style.filter, "blur(1px)");
  video.show(80);
  assert.equal(layer.style.filter, "opacity(0.3)");
  handle.detach();
  assert.deepEqual([layer.style.filter, layer.style.clipPath], ["blur(1px)", "circle(50%)"]);
});

test("a late mask is shown immediately and isn't counted as a frame", () => {
  const { video, layer, source, handle, seen } = attachLayer();
  video.show(40);
  assert.equal(layer.style.clipPath, "none");
  source.add(40);
  assert.match(layer.style.clipPath, /^path/);
  assert.deepEqual([handle.stats.frames, seen.length], [1, 2]);
});

test("a mask that arrives before the first frame isn't shown", () => {
  const { layer, source, seen } = attachLayer();
  source.add(40);
  assert.deepEqual([layer.style.clipPath, seen.length], ["none", 0]);
});

test("missing masks are requested again while the video is paused", () => {
  const { video, source } = attachLayer();
  video.show(40);
  advance(500);
  assert.equal(source.wanted.length, 1, "a video that plays shows frames by itself");
  video.paused = true;
  advance(1000);
  assert.deepEqual(source.wanted.slice(1).map(([ms]) => ms), [40, 40]);
});

test("the outline is available in the layer's pixels", () => {
  const { video, source, handle } = attachLayer();
  assert.equal(handle.outline, "");
  source.add(40);
  video.show(40);
  assert.equal(handle.outline, "M0 0L160 0L160 180Z");
  video.show(80);
  assert.equal(handle.outline, "");
});

test("a changed size updates the outline immediately", () => {
  const { video, layer, source, handle } = attachLayer();
  source.add(40);
  video.show(40);
  for (const element of [video, layer]) element.box = { x: 0, y: 0, width: 640, height: 360 };
  assert.equal(handle.outline, "M0 0L160 0L160 180Z");
  FakeResizeObserver.notify(layer);
  assert.equal(handle.outline, "M0 0L320 0L320 360Z");
  assert.match(layer.style.clipPath, /M0 0L320 0L320 360Z/);
});

test("full screen, a changed video size and refresh() update the outline immediately", () => {
  const { video, layer, source, handle } = attachLayer();
  source.add(40);
  video.show(40);
  const moves = [() => document.dispatchEvent(new Event("fullscreenchange")), () => video.emit("resize"), () => handle.refresh()];
  moves.forEach((move, number) => {
    layer.box = { x: -10 * (number + 1), y: 0, width: 320, height: 180 };
    move();
    assert.match(handle.outline, new RegExp(`^M${10 * (number + 1)} 0`));
  });
});

test("a move without an event updates the outline within half a second", () => {
  const { video, layer, source, handle } = attachLayer();
  source.add(40);
  source.add(80);
  source.add(120);
  video.show(40);
  layer.box = { x: -10, y: 0, width: 320, height: 180 };
  advance(499);
  video.show(80);
  assert.match(handle.outline, /^M0 0/);
  advance(1);
  video.show(120);
  assert.match(handle.outline, /^M10 0/);
});

test("an unchanged outline doesn't set the clip path again", () => {
  const { video, layer, source } = attachLayer();
  const writes = [];
  let clip = "";
  Object.defineProperty(layer.style, "clipPath", { get: () => clip, set: (value) => (writes.push(value), (clip = value)) });
  for (const ms of [40, 80, 120]) source.add(ms);
  for (const ms of [40, 80, 120]) video.show(ms);
  assert.equal(writes.filter((value) => value.startsWith("path")).length, 1);
});

test("an unchanged outline is read only once", () => {
  const { video, source } = attachLayer();
  let reads = 0;
  const outline = Object.defineProperty({ width: 32, height: 18 }, "rings", { get: () => ((reads += 1), PERSON.rings) });
  for (const ms of [40, 80, 120]) source.add(ms, outline);
  video.show(40);
  const once = reads;
  video.show(80);
  video.show(120);
  assert.ok(once > 0);
  assert.equal(reads, once);
});

test("during playback the mask is that of the frame in the next repaint", () => {
  const { video, source, seen } = attachLayer({}, { readyState: 4 });
  for (let ms = 0; ms <= 240; ms += 20) source.masks.set(ms, { pts: ms, shape: { outline: PERSON } });
  for (let number = 0; number < 8; number++) {
    if (number % 2) repaint();
    else video.show(number * 20);
    advance(20);
  }
  repaint();
  assert.equal(seen.at(-1).pts, 160, "its announcement is late");
});

test("exact synchronization draws the video on a canvas until detached", () => {
  const [stage, video, layer, source] = [new FakeElement(), new FakeVideo({ readyState: 1 }), new FakeElement(), new FakeSource()];
  stage.append(video, layer);
  const handle = attach(video, layer, { source, sync: "exact" });
  assert.deepEqual(stage.children.map(({ tag }) => tag), ["video", "canvas", "div"]);
  source.add(40);
  video.show(40);
  assert.match(layer.style.clipPath, /^path/);
  handle.detach();
  assert.deepEqual(stage.children, [video, layer]);
});

test("a protected video isn't drawn on a canvas", () => {
  const [stage, video, layer] = [new FakeElement(), new FakeVideo({ readyState: 1, mediaKeys: {} }), new FakeElement()];
  stage.append(video, layer);
  handles.push(attach(video, layer, { source: new FakeSource(), sync: "exact" }));
  assert.deepEqual(stage.children, [video, layer]);
});

test("without frame callbacks masks are found by the video's time", () => {
  const [video, layer, source] = [new OldVideo({ readyState: 2, currentTime: 0.047 }), new FakeElement(), new FakeSource()];
  source.add(40);
  handles.push(attach(video, layer, { source }));
  assert.match(layer.style.clipPath, /^path/);
});

test("detaching removes all listeners and restores the layer", () => {
  const { video, layer, source, handle, seen } = attachLayer();
  source.add(40);
  video.show(40);
  handle.detach();
  assert.deepEqual([layer.style.clipPath, layer.style.filter], ["", ""]);
  assert.ok(!video.watched);
  assert.equal(countRepaints(), 0);
  const count = seen.length;
  video.paused = true;
  source.add(40);
  video.emit("resize");
  document.dispatchEvent(new Event("fullscreenchange"));
  FakeResizeObserver.notify(layer);
  advance(2000);
  assert.equal(seen.length, count);
  handle.detach(); // a second call does nothing
  assert.equal(layer.style.clipPath, "");
});

test("detaching closes only a source that attach opened itself", async () => {
  const { source, handle } = attachLayer();
  handle.detach();
  assert.equal(source.closed, 0);
  const [video, layer] = [new FakeVideo({ readyState: 1 }), new FakeElement()];
  const live = attach(video, layer, { live: "ws://test/v1/stream" });
  video.show(0);
  const [socket] = FakeSocket.all;
  live.detach();
  assert.equal(socket.readyState, 2);
  await flush();
});

test("detaching both of two attachments restores the layer", () => {
  const [video, layer, sources] = [new FakeVideo({ readyState: 2, currentTime: 0.047 }), new FakeElement(), [new FakeSource(), new FakeSource()]];
  for (const source of sources) source.add(40);
  const [first, second] = sources.map((source) => attach(video, layer, { source }));
  assert.match(layer.style.clipPath, /^path/);
  first.detach();
  assert.match(layer.style.clipPath, /^path/);
  second.detach();
  assert.equal(layer.style.clipPath, "");
});

test("attach takes a track, a live connection or a source and rejects none of them", () => {
  const [video, layer] = [new FakeVideo(), new FakeElement()];
  assert.throws(() => attach(video, layer, {}), { name: "TypeError", message: /one of track, live and source/ });
  assert.equal(layer.style.filter, "", "the layer is unchanged");
  const track = attach(video, layer, { track: "film.mattes" });
  assert.equal(track.source.constructor, openTrack("film.mattes").constructor);
  const live = attach(video, layer, { live: { url: "ws://test/v1/stream", width: 160 } });
  assert.equal(live.source.constructor, openLive(true).constructor);
  assert.ok(live instanceof Attachment);
  live.detach();
});

test("a new film in the same video doesn't show masks of the previous one", () => {
  const { video, layer, source, handle } = attachLayer();
  source.add(40);
  video.show(40);
  video.emit("emptied");
  assert.deepEqual([layer.style.clipPath, layer.style.filter, handle.stats.state, handle.outline], ["none", "opacity(0.3)", "late", ""]);
  source.add(60);
  assert.equal(layer.style.clipPath, "none", "not before its first frame either");
  video.show(40);
  assert.match(layer.style.clipPath, /^path/);
});

test("a function chooses the track for each film, or none", () => {
  const requested = [];
  const track = ({ src }) => (requested.push(src), src === "none" ? null : `${src}.mattes`);
  const [video, layer, states] = [new FakeVideo({ readyState: 1, src: "one" }), new FakeElement(), []];
  const handle = attach(video, layer, { track, onframe: ({ state }) => states.push(state) });
  handles.push(handle);
  const { source: first } = handle;
  video.emit("loadstart");
  assert.equal(handle.source, first, "the same film keeps its source");
  video.src = "none";
  video.emit("emptied");
  video.emit("loadstart");
  assert.deepEqual([layer.style.clipPath, layer.style.filter, states.at(-1)], ["", "", "off"]);
  video.src = "two";
  video.emit("loadstart");
  assert.equal(layer.style.filter, "opacity(0.3)");
  assert.notEqual(handle.source, first);
  assert.deepEqual(requested, ["one", "one", "none", "two"]);
});

test("use() closes only a source that attach opened itself", async () => {
  const { source, handle } = attachLayer();
  handle.use({ source: new FakeSource() });
  assert.equal(source.closed, 0);
  const video = new FakeVideo({ readyState: 1 });
  const live = attach(video, new FakeElement(), { live: "ws://test/v1/stream" });
  handles.push(live);
  video.show(0);
  const socket = FakeSocket.all.at(-1);
  live.use({ source: new FakeSource() });
  assert.equal(socket.readyState, 2);
  await flush();
});

test("use() replaces the masks of a layer", () => {
  const { layer, source, handle, video } = attachLayer();
  source.add(40);
  video.show(40);
  const other = new FakeSource();
  other.add(40, EMPTY);
  handle.use({ source: other });
  video.show(40);
  assert.equal(layer.style.clipPath, "none");
  source.onchange();
  assert.throws(() => handle.use({}), /one of track, live and source/);
  assert.equal(handle.source, other);
});

test("comments are unchanged while the viewer has turned masks off", () => {
  const { video, layer, source, handle, seen } = attachLayer();
  source.add(40);
  video.show(40);
  let rests = 0;
  source.rest = () => (rests += 1);
  handle.preferences.set({ on: false });
  assert.deepEqual([layer.style.clipPath, layer.style.filter, seen.at(-1).state, rests], ["", "", "off", 1]);
  assert.ok(!video.watched);
  const count = source.wanted.length;
  advance(2000);
  assert.equal(source.wanted.length, count, "no masks are requested meanwhile");
  handle.preferences.set({ on: true });
  video.show(40);
  assert.match(layer.style.clipPath, /^path/);
  handle.preferences.set({ strength: 0 });
  assert.equal(layer.style.clipPath, "");
});

test("a changed margin widens the outline immediately", () => {
  const square = { width: 64, height: 36, rings: [Float32Array.of(20, 10, 40, 10, 40, 26, 20, 26)] };
  const { video, source, handle } = attachLayer();
  source.add(40, square);
  video.show(40);
  const left = () => Math.min(...handle.outline.split(/[MLZ]/).filter(Boolean).map(parseFloat));
  assert.equal(left(), 100);
  handle.preferences.set({ margin: 0.05 }); // of 180 pixels
  assert.ok(Math.abs(left() - 91) < 3, `${left()}`);
});

test("partial strength uses an SVG mask, which is removed at full strength", () => {
  const [stage, video, layer, source] = [new FakeElement(), new FakeVideo({ readyState: 1 }), new FakeElement(), new FakeSource()];
  stage.append(video, layer);
  const handle = attach(video, layer, { source, preferences: { strength: 0.6 } });
  source.add(40);
  video.show(40);
  const [, , root] = stage.children;
  assert.equal(layer.style.clipPath, "none");
  assert.equal(layer.style.mask, `url("#${root.firstElementChild.getAttribute ? root.firstElementChild.attributes.get("id") : ""}")`);
  const path = root.all("path")[0];
  assert.deepEqual([path.getAttribute("fill-opacity"), path.getAttribute("d")], ["0.6", "M0 0L160 0L160 180Z"]);
  handle.preferences.set({ strength: 1 });
  assert.match(layer.style.clipPath, /^path/);
  assert.deepEqual([layer.style.mask, stage.children.length], ["", 2]);
  handle.detach();
});

test("comments don't fade if the viewer prefers reduced motion", () => {
  globalThis.matchMedia = (query) => ({ matches: query.includes("reduce") });
  const { video, layer, source } = attachLayer();
  source.add(40);
  video.show(40);
  assert.deepEqual([layer.style.filter, layer.animations.length], ["", 0]);
  delete globalThis.matchMedia;
});

test("an error is reported once and comments are no longer dimmed", () => {
  const errors = [];
  const { video, layer, source, handle } = attachLayer({ onerror: (why) => errors.push(why) });
  video.show(40);
  assert.equal(layer.style.filter, "opacity(0.3)");
  source.error = "no such track";
  source.onchange();
  assert.deepEqual([layer.style.filter, handle.error], ["", "no such track"]);
  advance(3000);
  assert.deepEqual(errors, ["no such track"]);
  source.error = "";
  advance(500);
  source.error = "no such track";
  advance(500);
  assert.equal(errors.length, 2, "reported again after it had recovered");
});

test("a layer removed from the page is paused until it returns", () => {
  const { video, layer, source } = attachLayer();
  source.add(40);
  video.show(40);
  layer.isConnected = false;
  advance(500);
  assert.ok(!video.watched);
  assert.equal(countRepaints(), 0);
  assert.equal(layer.style.clipPath, "");
  layer.isConnected = true;
  advance(500);
  video.show(40);
  assert.match(layer.style.clipPath, /^path/);
});

test("a video that isn't in the page yet is waited for, but not forever", () => {
  const [video, layer, source] = [new FakeVideo({ readyState: 1, isConnected: false }), new FakeElement(), new FakeSource()];
  handles.push(attach(video, layer, { source }));
  advance(9000);
  assert.ok(video.watched);
  advance(3000);
  assert.ok(!video.watched);
});

const FILM = { sha256: "0".repeat(64), clock: "media", width: 320, height: 180, pixel_ratio: [1, 1], first_ms: 0, end_ms: 60_000, coded_ms: 0, origin_ms: 0 };

test("masks of a different film are reported as an error and not shown", () => {
  const errors = [];
  const { video, layer, source, handle, seen } = attachLayer({ onerror: (why) => errors.push(why) }, { readyState: 4 });
  source.film = { ...FILM, end_ms: 90_000 };
  source.add(40);
  video.show(40);
  assert.deepEqual([seen.at(-1).state, layer.style.clipPath], ["late", "none"]);
  assert.equal(handle.error, "the masks are of a film of 90.0 s, this one is 60.0 s");
  handle.refresh();
  assert.deepEqual(errors, [handle.error]);
  source.film = FILM;
  source.add(80);
  video.show(80);
  assert.deepEqual([seen.at(-1).state, handle.error], ["masked", ""]);
});

test("masks are found by the player's time plus the offset", () => {
  const { video, source, seen } = attachLayer({ offset: 1000 });
  source.add(1040);
  video.show(40);
  const { time, pts, lag, state } = seen.at(-1);
  assert.deepEqual({ time, pts, lag, state }, { time: 40, pts: 1040, lag: 0, state: "masked" });
  assert.deepEqual(source.wanted.at(-1), [1040, video]);
});

test("there are no masks where the clock function returns null", () => {
  const { video, source, seen } = attachLayer({ clock: (ms) => (ms < 100 ? null : ms - 100) });
  source.film = { ...FILM, end_ms: 9000 }; // the duration of a moving window isn't the film's
  source.add(40);
  video.show(40);
  assert.equal(seen.at(-1).state, "off");
  video.show(140);
  assert.deepEqual([seen.at(-1).state, seen.at(-1).lag], ["masked", 0]);
  assert.deepEqual(source.wanted.map(([ms]) => ms), [40]);
});

test("in Firefox a paused video uses the mask of its current time", () => {
  const { video, source, seen } = attachLayer({}, { mozHasAudio: false });
  source.add(40);
  source.add(400, EMPTY);
  video.show(40);
  Object.assign(video, { paused: true, currentTime: 0.1 });
  advance(500);
  assert.equal(seen.at(-1).time, 40, "the same frame, a little later");
  video.currentTime = 0.407;
  advance(500);
  assert.deepEqual([seen.at(-1).time, seen.at(-1).state], [400, "nobody"]);
});

test("comments are unchanged at times that the source doesn't cover", () => {
  const { video, layer, source, handle } = attachLayer({ late: "hide", clock: (ms) => (ms < 5000 ? null : ms - 5000) });
  source.covers = (ms) => ms < 1000;
  video.show(40); // before the film starts
  assert.deepEqual([layer.style.filter, handle.stats.state, handle.stats.missed], ["", "off", 0]);
  video.show(5040);
  assert.deepEqual([layer.style.filter, handle.stats.state, handle.stats.missed], ["opacity(0)", "late", 1]);
  source.add(80);
  video.show(5080);
  assert.deepEqual([layer.style.filter, handle.stats.state], ["", "masked"]);
  video.show(7000); // a track that ends before the film
  assert.deepEqual([layer.style.filter, layer.style.clipPath, handle.stats.state], ["", "none", "off"]);
});

test("the offset applies to the track but not to live masks", () => {
  const [video, layer] = [new FakeVideo({ readyState: 1, mozHasAudio: false, src: "film" }), new FakeElement()];
  const handle = attach(video, layer, { track: ({ src }) => (src === "film" ? "film.mattes" : null), live: "ws://test/v1/stream", offset: 300 });
  handles.push(handle);
  const wanted = [];
  Object.defineProperty(handle.source, "film", { value: { ...FILM, origin_ms: 200 } });
  handle.source.want = (ms) => wanted.push(ms);
  video.show(40);
  video.src = "another";
  video.emit("emptied");
  video.emit("loadstart");
  handle.source.want = (ms) => wanted.push(ms);
  video.show(40);
  assert.deepEqual(wanted, [540, 40]);
});

test("masks are chosen for the video address that finally plays", () => {
  const [video, layer] = [new FakeVideo({ readyState: 0, currentSrc: "film.av1" }), new FakeElement()];
  const handle = attach(video, layer, { track: ({ currentSrc }) => (currentSrc === "film.mp4" ? "film.mattes" : null) });
  handles.push(handle);
  video.emit("loadstart");
  assert.equal(handle.stats.state, "off");
  video.currentSrc = "film.mp4"; // without another loadstart
  video.emit("loadedmetadata");
  assert.equal(handle.stats.state, "late");
  assert.match(handle.source.constructor.name, /Track/);
});

test("drawing stops when a video turns out to be protected", () => {
  for (const protect of [(video) => video.emit("encrypted"), (video) => ((video.mediaKeys = {}), advance(500))]) {
    const [stage, video, layer] = [new FakeElement(), new FakeVideo({ readyState: 1 }), new FakeElement()];
    stage.append(video, layer);
    handles.push(attach(video, layer, { source: new FakeSource(), sync: "exact" }));
    assert.equal(stage.children.length, 3);
    protect(video);
    assert.deepEqual(stage.children, [video, layer]);
    assert.ok(video.watched);
  }
});

test("styles that a framework removes are set again", () => {
  const { video, layer, source } = attachLayer();
  source.add(40);
  video.show(40);
  const { clipPath } = layer.style;
  Object.assign(layer.style, { clipPath: "", filter: "" });
  video.paused = true;
  advance(500);
  assert.equal(layer.style.clipPath, clipPath);
  video.paused = false;
  video.show(80);
  layer.style.filter = "";
  advance(500);
  video.show(120);
  assert.equal(layer.style.filter, "opacity(0.3)");
});

test("an SVG mask has a unique id and moves with its layer", () => {
  const [stage, other, video, layer, source] = [new FakeElement(), new FakeElement(), new FakeVideo({ readyState: 1 }), new FakeElement(), new FakeSource()];
  stage.append(video, layer);
  const handle = attach(video, layer, { source, preferences: { strength: 0.6 } });
  handles.push(handle);
  source.add(40);
  video.show(40);
  const root = stage.children.at(-1);
  assert.match(root.firstElementChild.attributes.get("id"), /^danmatte-[a-z0-9]{6,}$/);
  layer.remove();
  other.append(layer);
  handle.refresh();
  assert.equal(root.parent, other);
});

test("an invalid video or layer is rejected with what was received", () => {
  const [video, layer] = [new FakeVideo(), new FakeElement()];
  assert.throws(() => attach(null, layer, { track: "film.mattes" }), { name: "TypeError", message: "attach: expected a <video> element, received null" });
  assert.throws(() => attach({ el: layer }, layer, { track: "a" }), /expected a <video> element, received Object/);
  assert.throws(() => attach("#video", layer, { track: "a" }), /received string/);
  assert.throws(() => attach({ localName: "div" }, layer, { track: "a" }), /received <div>/);
  assert.throws(() => attach(video, undefined, { track: "a" }), /expected an element that holds the comments, received undefined/);
  assert.throws(() => attach(video, layer), /one of track, live and source/);
});

test("use() can change the offset", () => {
  const { video, handle } = attachLayer({ offset: 1000 });
  const other = new FakeSource();
  handle.use({ source: other, offset: 0 });
  video.show(40);
  assert.deepEqual(other.wanted.at(-1), [40, video]);
});

test("a failing error callback is called only once for each reason", () => {
  let calls = 0;
  const onerror = () => {
    calls += 1;
    throw new TypeError("of the page");
  };
  const { source } = attachLayer({ onerror });
  source.error = "no such track";
  assert.throws(() => source.onchange(), /of the page/);
  advance(2000);
  assert.equal(calls, 1);
});
