import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { advance, countRepaints, FakeElement, FakeResizeObserver, FakeSocket, FakeVideo, flush, installBrowser, OldVideo, repaint } from "./fakes.js";

const document = installBrowser();
globalThis.fetch = () => new Promise(() => {});
const { attach, Attachment, openLive, openTrack } = await import("../../../service/danmatte/web/danmatte.js");

const PERSON = { width: 32, height: 18, rings: [Float32Array.of(0, 0, 16, 0, 16, 18)] };
const NOBODY = { width: 32, height: 18, rings: [] };
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
function wear(options = {}, properties = {}) {
  const [video, layer, source] = [new FakeVideo({ readyState: 1, ...properties }), new FakeElement(), new FakeSource()];
  const seen = [];
  const handle = attach(video, layer, { source, onframe: (stats) => seen.push({ ...stats }), ...options });
  handles.push(handle);
  return { video, layer, source, handle, seen };
}

test("comments are cut out where the person is, for the frame that is shown", () => {
  const { video, layer, source, seen } = wear();
  source.add(40);
  video.show(40);
  assert.equal(layer.style.clipPath, 'path(evenodd, "M-320 -180H640V360H-320ZM0 0L160 0L160 180Z")');
  const { time, pts, lag, state, coverage, held, frames, missed } = seen.at(-1);
  assert.deepEqual({ time, pts, lag, state, coverage, held, frames, missed }, {
    time: 40, pts: 40, lag: 0, state: "masked", coverage: 0.25, held: false, frames: 1, missed: 0,
  });
});

test("every frame that is shown is asked for, with its video", () => {
  const { video, source } = wear();
  video.show(40);
  video.show(80);
  assert.deepEqual(source.wanted, [[40, video], [80, video]]);
});

test("the mask of an older frame has a lag", () => {
  const { video, source, seen } = wear();
  source.masks.set(80, { pts: 40, held: true, coverage: 0.1, shape: { outline: PERSON } });
  video.show(80);
  assert.deepEqual([seen.at(-1).pts, seen.at(-1).lag, seen.at(-1).held], [40, 40, true]);
});

test("a frame without people shows comments whole", () => {
  const { video, layer, source, seen } = wear();
  source.add(40, NOBODY);
  video.show(40);
  assert.deepEqual([layer.style.clipPath, layer.style.filter, seen.at(-1).state], ["none", "", "nobody"]);
});

test("before the first frame comments are faint", () => {
  assert.equal(wear().layer.style.filter, "opacity(0.3)");
});

for (const [late, filter] of [["dim", "opacity(0.3)"], ["show", ""], ["hide", "opacity(0)"], [undefined, "opacity(0.3)"]]) {
  test(`without a mask comments look as ${late} says`, () => {
    const { video, layer, seen } = wear({ late });
    video.show(40);
    assert.deepEqual([layer.style.filter, layer.style.clipPath], [filter, "none"]);
    const { state, pts, lag, coverage, missed } = seen.at(-1);
    assert.deepEqual({ state, pts, lag, coverage, missed }, { state: "late", pts: null, lag: null, coverage: 0, missed: 0 });
  });
}

test("frames without a mask are counted, and only those", () => {
  const { video, source, handle } = wear();
  video.show(40);
  source.add(80);
  video.show(80);
  video.show(120);
  assert.deepEqual([handle.stats.frames, handle.stats.missed], [3, 2]);
});

test("comments turn faint at once and come back gently", () => {
  const { video, layer, source } = wear();
  source.add(40);
  video.show(40);
  assert.equal(layer.style.filter, "");
  assert.deepEqual(layer.animations.map(({ keyframes }) => keyframes.filter), [["opacity(0.3)", "none"]]);
  video.show(80);
  assert.equal(layer.style.filter, "opacity(0.3)");
  assert.equal(layer.animations.length, 1);
});

test("a filter of the page's own is there while masks are, and after them", () => {
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

test("a mask that comes late is shown at once, and is no frame", () => {
  const { video, layer, source, handle, seen } = wear();
  video.show(40);
  assert.equal(layer.style.clipPath, "none");
  source.add(40);
  assert.match(layer.style.clipPath, /^path/);
  assert.deepEqual([handle.stats.frames, seen.length], [1, 2]);
});

test("what comes before the first frame changes nothing", () => {
  const { layer, source, seen } = wear();
  source.add(40);
  assert.deepEqual([layer.style.clipPath, seen.length], ["none", 0]);
});

test("while the video is paused, masks that are missing are asked for again", () => {
  const { video, source } = wear();
  video.show(40);
  advance(500);
  assert.equal(source.wanted.length, 1, "a video that plays shows frames by itself");
  video.paused = true;
  advance(1000);
  assert.deepEqual(source.wanted.slice(1).map(([ms]) => ms), [40, 40]);
});

test("the outline can be drawn over the video, in the layer's pixels", () => {
  const { video, source, handle } = wear();
  assert.equal(handle.outline, "");
  source.add(40);
  video.show(40);
  assert.equal(handle.outline, "M0 0L160 0L160 180Z");
  video.show(80);
  assert.equal(handle.outline, "");
});

test("sizes that change are followed at once", () => {
  const { video, layer, source, handle } = wear();
  source.add(40);
  video.show(40);
  for (const element of [video, layer]) element.box = { x: 0, y: 0, width: 640, height: 360 };
  assert.equal(handle.outline, "M0 0L160 0L160 180Z");
  FakeResizeObserver.notify(layer);
  assert.equal(handle.outline, "M0 0L320 0L320 360Z");
  assert.match(layer.style.clipPath, /M0 0L320 0L320 360Z/);
});

test("so are full screen, another picture's size, and a move that the page tells of", () => {
  const { video, layer, source, handle } = wear();
  source.add(40);
  video.show(40);
  const moves = [() => document.dispatchEvent(new Event("fullscreenchange")), () => video.emit("resize"), () => handle.refresh()];
  moves.forEach((move, number) => {
    layer.box = { x: -10 * (number + 1), y: 0, width: 320, height: 180 };
    move();
    assert.match(handle.outline, new RegExp(`^M${10 * (number + 1)} 0`));
  });
});

test("a move that nobody tells of is found within half a second", () => {
  const { video, layer, source, handle } = wear();
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

test("an outline that stays needs no new clip path", () => {
  const { video, layer, source } = wear();
  const writes = [];
  let clip = "";
  Object.defineProperty(layer.style, "clipPath", { get: () => clip, set: (value) => (writes.push(value), (clip = value)) });
  for (const ms of [40, 80, 120]) source.add(ms);
  for (const ms of [40, 80, 120]) video.show(ms);
  assert.equal(writes.filter((value) => value.startsWith("path")).length, 1);
});

test("an outline that stays is read once", () => {
  const { video, source } = wear();
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

test("while it plays the mask is the one of the frame that the next repaint shows", () => {
  const { video, source, seen } = wear({}, { readyState: 4 });
  for (let ms = 0; ms <= 240; ms += 20) source.masks.set(ms, { pts: ms, shape: { outline: PERSON } });
  for (let number = 0; number < 8; number++) {
    if (number % 2) repaint();
    else video.show(number * 20);
    advance(20);
  }
  repaint();
  assert.equal(seen.at(-1).pts, 160, "its announcement is late");
});

test("exact masks come with a drawing, which goes when they do", () => {
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

test("a protected video isn't drawn", () => {
  const [stage, video, layer] = [new FakeElement(), new FakeVideo({ readyState: 1, mediaKeys: {} }), new FakeElement()];
  stage.append(video, layer);
  handles.push(attach(video, layer, { source: new FakeSource(), sync: "exact" }));
  assert.deepEqual(stage.children, [video, layer]);
});

test("a browser that announces no frames has masks by the video's time", () => {
  const [video, layer, source] = [new OldVideo({ readyState: 2, currentTime: 0.047 }), new FakeElement(), new FakeSource()];
  source.add(40);
  handles.push(attach(video, layer, { source }));
  assert.match(layer.style.clipPath, /^path/);
});

test("once it is detached nothing is watched, and the layer is as it was", () => {
  const { video, layer, source, handle, seen } = wear();
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

test("a source that was handed over stays open, one that was opened here is closed", async () => {
  const { source, handle } = wear();
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

test("a layer that was attached twice is found as it was in the end", () => {
  const [video, layer, sources] = [new FakeVideo({ readyState: 2, currentTime: 0.047 }), new FakeElement(), [new FakeSource(), new FakeSource()]];
  for (const source of sources) source.add(40);
  const [first, second] = sources.map((source) => attach(video, layer, { source }));
  assert.match(layer.style.clipPath, /^path/);
  first.detach();
  assert.match(layer.style.clipPath, /^path/);
  second.detach();
  assert.equal(layer.style.clipPath, "");
});

test("masks are from a track, a live connection, or a source; without any it is said at once", () => {
  const [video, layer] = [new FakeVideo(), new FakeElement()];
  assert.throws(() => attach(video, layer, {}), { name: "TypeError", message: /one of track, live and source/ });
  assert.equal(layer.style.filter, "", "the layer is left alone");
  const track = attach(video, layer, { track: "film.mattes" });
  assert.equal(track.source.constructor, openTrack("film.mattes").constructor);
  const live = attach(video, layer, { live: { url: "ws://test/v1/stream", width: 160 } });
  assert.equal(live.source.constructor, openLive(true).constructor);
  assert.ok(live instanceof Attachment);
  live.detach();
});

test("another film in the same video shows no mask of the one before", () => {
  const { video, layer, source, handle } = wear();
  source.add(40);
  video.show(40);
  video.emit("emptied");
  assert.deepEqual([layer.style.clipPath, layer.style.filter, handle.stats.state, handle.outline], ["none", "opacity(0.3)", "late", ""]);
  source.add(60);
  assert.equal(layer.style.clipPath, "none", "not before its first frame either");
  video.show(40);
  assert.match(layer.style.clipPath, /^path/);
});

test("a function tells each film's masks, and which film has none", () => {
  const asked = [];
  const track = ({ src }) => (asked.push(src), src === "none" ? null : `${src}.mattes`);
  const [video, layer, states] = [new FakeVideo({ readyState: 1, src: "one" }), new FakeElement(), []];
  const handle = attach(video, layer, { track, onframe: ({ state }) => states.push(state) });
  handles.push(handle);
  const { source: first } = handle;
  video.emit("loadstart");
  assert.equal(handle.source, first, "the same film again needs nothing new");
  video.src = "none";
  video.emit("emptied");
  video.emit("loadstart");
  assert.deepEqual([layer.style.clipPath, layer.style.filter, states.at(-1)], ["", "", "off"]);
  video.src = "two";
  video.emit("loadstart");
  assert.equal(layer.style.filter, "opacity(0.3)");
  assert.notEqual(handle.source, first);
  assert.deepEqual(asked, ["one", "one", "none", "two"]);
});

test("masks are changed without leaving the layer, and those before are closed", () => {
  const { layer, source, handle, video } = wear();
  source.add(40);
  video.show(40);
  const other = new FakeSource();
  other.add(40, NOBODY);
  handle.use({ source: other });
  video.show(40);
  assert.equal(layer.style.clipPath, "none");
  source.onchange();
  assert.throws(() => handle.use({}), /one of track, live and source/);
  assert.equal(handle.source, other);
});

test("comments are as they were while the viewer doesn't want them behind people", () => {
  const { video, layer, source, handle, seen } = wear();
  source.add(40);
  video.show(40);
  let rests = 0;
  source.rest = () => (rests += 1);
  handle.preferences.set({ on: false });
  assert.deepEqual([layer.style.clipPath, layer.style.filter, seen.at(-1).state, rests], ["", "", "off", 1]);
  assert.ok(!video.watched);
  const count = source.wanted.length;
  advance(2000);
  assert.equal(source.wanted.length, count, "nothing is asked for meanwhile");
  handle.preferences.set({ on: true });
  video.show(40);
  assert.match(layer.style.clipPath, /^path/);
  handle.preferences.set({ strength: 0 });
  assert.equal(layer.style.clipPath, "");
});

test("a margin keeps comments away from people, at once", () => {
  const square = { width: 64, height: 36, rings: [Float32Array.of(20, 10, 40, 10, 40, 26, 20, 26)] };
  const { video, source, handle } = wear();
  source.add(40, square);
  video.show(40);
  const left = () => Math.min(...handle.outline.split(/[MLZ]/).filter(Boolean).map(parseFloat));
  assert.equal(left(), 100);
  handle.preferences.set({ margin: 0.05 }); // of 180 pixels
  assert.ok(Math.abs(left() - 91) < 3, `${left()}`);
});

test("comments that shine through are masked instead of clipped, and nothing is left of it", () => {
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

test("nothing fades for viewers who want less motion", () => {
  globalThis.matchMedia = (query) => ({ matches: query.includes("reduce") });
  const { video, layer, source } = wear();
  source.add(40);
  video.show(40);
  assert.deepEqual([layer.style.filter, layer.animations.length], ["", 0]);
  delete globalThis.matchMedia;
});

test("why there are no masks is told once, and comments are no longer faint", () => {
  const told = [];
  const { video, layer, source, handle } = wear({ onerror: (why) => told.push(why) });
  video.show(40);
  assert.equal(layer.style.filter, "opacity(0.3)");
  source.error = "no such track";
  source.onchange();
  assert.deepEqual([layer.style.filter, handle.error], ["", "no such track"]);
  advance(3000);
  assert.deepEqual(told, ["no such track"]);
  source.error = "";
  advance(500);
  source.error = "no such track";
  advance(500);
  assert.equal(told.length, 2, "again after it was well");
});

test("an element that left the page costs nothing, and goes on when it is back", () => {
  const { video, layer, source } = wear();
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

test("an element that isn't in the page yet is waited for, but not for ever", () => {
  const [video, layer, source] = [new FakeVideo({ readyState: 1, isConnected: false }), new FakeElement(), new FakeSource()];
  handles.push(attach(video, layer, { source }));
  advance(9000);
  assert.ok(video.watched);
  advance(3000);
  assert.ok(!video.watched);
});

const FILM = { sha256: "0".repeat(64), clock: "media", width: 320, height: 180, pixel_ratio: [1, 1], first_ms: 0, end_ms: 60_000, coded_ms: 0, origin_ms: 0 };

test("masks of another film are an error that is told, and aren't shown", () => {
  const told = [];
  const { video, layer, source, handle, seen } = wear({ onerror: (why) => told.push(why) }, { readyState: 4 });
  source.film = { ...FILM, end_ms: 90_000 };
  source.add(40);
  video.show(40);
  assert.deepEqual([seen.at(-1).state, layer.style.clipPath], ["late", "none"]);
  assert.equal(handle.error, "the masks are of a film of 90.0 s, this one is 60.0 s");
  handle.refresh();
  assert.deepEqual(told, [handle.error]);
  source.film = FILM;
  source.add(80);
  video.show(80);
  assert.deepEqual([seen.at(-1).state, handle.error], ["masked", ""]);
});

test("masks are looked for at the player's time and an offset", () => {
  const { video, source, seen } = wear({ offset: 1000 });
  source.add(1040);
  video.show(40);
  const { time, pts, lag, state } = seen.at(-1);
  assert.deepEqual({ time, pts, lag, state }, { time: 40, pts: 1040, lag: 0, state: "masked" });
  assert.deepEqual(source.wanted.at(-1), [1040, video]);
});

test("where a mapping knows no time there are no masks", () => {
  const { video, source, seen } = wear({ clock: (ms) => (ms < 100 ? null : ms - 100) });
  source.film = { ...FILM, end_ms: 9000 }; // the duration of a moving window isn't the film's
  source.add(40);
  video.show(40);
  assert.equal(seen.at(-1).state, "off");
  video.show(140);
  assert.deepEqual([seen.at(-1).state, seen.at(-1).lag], ["masked", 0]);
  assert.deepEqual(source.wanted.map(([ms]) => ms), [40]);
});

test("a Firefox that stands elsewhere than at its last announced frame has the mask of its time", () => {
  const { video, source, seen } = wear({}, { mozHasAudio: false });
  source.add(40);
  source.add(400, NOBODY);
  video.show(40);
  Object.assign(video, { paused: true, currentTime: 0.1 });
  advance(500);
  assert.equal(seen.at(-1).time, 40, "the same frame, a little later");
  video.currentTime = 0.407;
  advance(500);
  assert.deepEqual([seen.at(-1).time, seen.at(-1).state], [400, "nobody"]);
});

test("comments are as they are where no mask will come", () => {
  const { video, layer, source, handle } = wear({ late: "hide", clock: (ms) => (ms < 5000 ? null : ms - 5000) });
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

test("where a track and live masks are both given, each counts on its own clock", () => {
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

test("of several addresses the one that plays in the end has its masks", () => {
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

test("a video that turns out to be protected isn't drawn any more", () => {
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

test("what a framework took away with the layer's style comes back", () => {
  const { video, layer, source } = wear();
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

test("a layer that is put elsewhere keeps its mask beside it, of a name that nobody else has", () => {
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

test("what isn't a video, or no layer, is told by what it is", () => {
  const [video, layer] = [new FakeVideo(), new FakeElement()];
  assert.throws(() => attach(null, layer, { track: "film.mattes" }), { name: "TypeError", message: "attach: expected a <video> element, received null" });
  assert.throws(() => attach({ el: layer }, layer, { track: "a" }), /expected a <video> element, received Object/);
  assert.throws(() => attach("#video", layer, { track: "a" }), /received string/);
  assert.throws(() => attach({ localName: "div" }, layer, { track: "a" }), /received <div>/);
  assert.throws(() => attach(video, undefined, { track: "a" }), /expected an element that holds the comments, received undefined/);
  assert.throws(() => attach(video, layer), /one of track, live and source/);
});

test("masks of another film may count from elsewhere", () => {
  const { video, handle } = wear({ offset: 1000 });
  const other = new FakeSource();
  handle.use({ source: other, offset: 0 });
  video.show(40);
  assert.deepEqual(other.wanted.at(-1), [40, video]);
});

test("a page's callback that fails is called once for a reason", () => {
  let told = 0;
  const onerror = () => {
    told += 1;
    throw new TypeError("of the page");
  };
  const { source } = wear({ onerror });
  source.error = "no such track";
  assert.throws(() => source.onchange(), /of the page/);
  advance(2000);
  assert.equal(told, 1);
});
