import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { beforeEach, mock, test } from "node:test";

import { advance, FakeHtmlElement, FakeInput, FakeResizeObserver, FakeSocket, FakeSvgElement, FakeVideo, flush, installBrowser, until } from "./fakes.js";

const document = installBrowser();
const HTML = readFileSync(new URL("../../../service/danmatte/web/index.html", import.meta.url), "utf8");
const KINDS = { input: FakeInput, svg: FakeSvgElement, path: FakeSvgElement, video: FakeVideo };
const requests = [];
let pages = 0;
let reducedMotion = false;

globalThis.matchMedia = () => ({ matches: reducedMotion });
globalThis.fetch = (url) => (requests.push(String(url)), new Promise(() => {}));
URL.createObjectURL = (file) => `blob:${file.name}`;

/** The elements of index.html as siblings, except the outline's path. */
function readPage() {
  const body = new FakeHtmlElement("body");
  for (const [, tag, attributes] of HTML.matchAll(/<(\w+)((?:\s+[\w-]+(?:="[^"]*")?)*)\s*\/?>/g)) {
    const element = new (KINDS[tag] ?? FakeHtmlElement)(tag === "video" ? undefined : tag);
    element.tag = tag;
    for (const [, name, value] of attributes.matchAll(/([\w-]+)(?:="([^"]*)")?/g)) {
      element.setAttribute(name, value ?? "");
      if (["id", "name", "value", "src"].includes(name)) element[name] = value;
      if (["checked", "hidden", "loop"].includes(name)) element[name] = true;
    }
    (tag === "path" ? body.lastElementChild : body).append(element);
  }
  return body;
}

/** The running demo page: its elements by id. */
async function openPage() {
  document.body = readPage();
  const page = Object.fromEntries(document.body.descendants().filter(({ id }) => id).map((element) => [element.id, element]));
  Object.assign(page.video, { paused: true, readyState: 1, box: { x: 0, y: 0, width: 640, height: 360 } });
  page.comments.box = page.video.box;
  await import(`../../../service/danmatte/web/demo.js?${++pages}`);
  page.radio = (name, value) => document.querySelector(`[name=${name}][value=${value}]`);
  page.choose = (name, value) => {
    for (const radio of document.querySelectorAll(`[name=${name}]`)) radio.checked = radio.value === value;
    page.radio(name, value).click();
    page.radio(name, value).emit("change");
  };
  return page;
}

beforeEach(() => {
  advance(1000);
  reducedMotion = false;
  requests.length = 0;
  FakeSocket.all.length = 0;
  URL.revokeObjectURL = mock.fn();
  Object.defineProperty(globalThis, "navigator", { value: { mediaDevices: {} }, configurable: true });
});

/** A camera that the viewer allows. */
function plugCamera() {
  const track = { stop: mock.fn() };
  const camera = { getTracks: () => [track] };
  navigator.mediaDevices.getUserMedia = mock.fn(async () => camera);
  return { camera, track };
}

test("the sample plays immediately with its track", async () => {
  const { video } = await openPage();
  assert.ok(!video.paused);
  assert.deepEqual(requests, ["http://test/sample.mattes"]);
});

test("with reduced motion the viewer starts the sample", async () => {
  reducedMotion = true;
  const { video, start } = await openPage();
  assert.ok(video.paused);
  start.click();
  assert.ok(!video.paused);
});

test("the page works in a browser that blocks autoplay", async () => {
  const page = await openPage();
  page.video.play = () => Promise.reject(new DOMException("no", "NotAllowedError"));
  page.video.paused = true;
  page.play.click();
  await flush();
  assert.ok(page.video.paused);
});

test("buttons play and pause once per click", async () => {
  const { video, play, screen, stage } = await openPage();
  for (const element of [play, screen]) {
    let stopped = 0;
    element.dispatchEvent(Object.assign(new Event("click"), { stopPropagation: () => (stopped += 1) }));
    assert.equal(stopped, 1, "the screen behind a button would take it back");
    assert.equal(play.ariaLabel, video.paused ? "Play" : "Pause");
    assert.equal(stage.classList.contains("playing"), !video.paused);
  }
  assert.ok(!video.paused);
});

test("comments pause with the video and follow its speed", async () => {
  const { video, comments } = await openPage();
  const span = new FakeHtmlElement("span");
  comments.append(span);
  const animation = span.animate([], {});
  video.pause();
  assert.equal(animation.playState, "paused");
  Object.assign(video, { playbackRate: 2, paused: false });
  video.emit("ratechange");
  assert.deepEqual([animation.playState, animation.playbackRate], ["running", 2]);
});

test("the speed button cycles through the speeds", async () => {
  const { video, rate } = await openPage();
  const shown = [1, 2, 3].map(() => (rate.click(), [video.playbackRate, rate.textContent]));
  assert.deepEqual(shown, [[2, "2×"], [0.5, "½×"], [1, "1×"]]);
});

test("the full-screen button toggles full screen of the player", async () => {
  const { stage, full } = await openPage();
  stage.requestFullscreen = () => (document.fullscreenElement = stage);
  full.click();
  assert.equal(document.fullscreenElement, stage);
  full.click();
  assert.equal(document.fullscreenElement, null);
  delete stage.requestFullscreen;
  full.click(); // browsers without full screen
});

test("the position is shown and can be set if the video has a length", async () => {
  const { video, seek, clock } = await openPage();
  Object.assign(video, { currentTime: 75.5, duration: 100 });
  video.emit("timeupdate");
  assert.deepEqual([seek.value, clock.textContent], ["0.755", "1:15"]);
  seek.value = "0.25";
  seek.emit("input");
  assert.equal(video.currentTime, 25);
  video.duration = Infinity; // a camera
  seek.emit("input");
  assert.equal(video.currentTime, 25);
  video.emit("timeupdate");
  assert.equal(seek.value, "0");
});

test("comments are masked only behind people", async () => {
  const page = await openPage();
  assert.equal(page.comments.style.filter, "opacity(0.3)", "masks aren't there yet");
  page.choose("side", "front");
  assert.equal(page.comments.style.filter, "");
  page.choose("side", "behind");
  assert.equal(page.comments.style.filter, "opacity(0.3)");
});

test("the viewer's own video is masked live with a look-ahead copy", async () => {
  const page = await openPage();
  let clicks = 0;
  page.file.addEventListener("click", () => (clicks += 1));
  page.choose("source", "file");
  assert.equal(clicks, 1);
  page.file.files = [{ name: "mine.mp4" }];
  page.file.emit("change");
  assert.deepEqual([page.video.src, page.file.value], ["blob:mine.mp4", ""]);
  page.video.currentSrc = page.video.src;
  const made = document.made.length;
  page.video.show(40);
  assert.ok(document.made.slice(made).some(({ tag, src }) => tag === "video" && src === "blob:mine.mp4"));
  assert.equal(page.note.textContent, "Waiting for masks");
  page.choose("source", "sample");
  assert.equal(URL.revokeObjectURL.mock.callCount(), 1);
  assert.equal(page.note.textContent, "");
});

test("cancelling the choice of a file keeps the sample playing", async () => {
  const page = await openPage();
  page.choose("source", "file");
  page.file.files = [];
  page.file.emit("change");
  page.file.emit("cancel");
  assert.ok(page.radio("source", "sample").checked);
  assert.equal(page.video.src, "sample.webm");
  assert.deepEqual(requests, ["http://test/sample.mattes"], "it isn't opened again");
});

test("a video that can't be played is reported and replaced by the sample", async () => {
  const page = await openPage();
  page.file.files = [{ name: "text.mp4" }];
  page.file.emit("change");
  page.video.emit("error");
  assert.deepEqual([page.video.src, page.note.textContent], ["sample.webm", "This video can't be played here"]);
  assert.equal(requests.length, 2);
});

test("a camera is masked live and stopped afterwards", async () => {
  const page = await openPage();
  const { camera, track } = plugCamera();
  page.choose("source", "camera");
  await until(() => page.video.srcObject, "the camera");
  assert.deepEqual([page.video.srcObject, page.video.src], [camera, ""]);
  assert.equal(navigator.mediaDevices.getUserMedia.mock.calls[0].arguments[0].audio, false);
  page.choose("source", "sample");
  assert.equal(track.stop.mock.callCount(), 1);
  assert.deepEqual([page.video.srcObject, page.video.src], [null, "sample.webm"]);
});

test("a second click on the camera stops the first stream", async () => {
  const page = await openPage();
  const first = plugCamera();
  page.choose("source", "camera");
  await until(() => page.video.srcObject === first.camera, "the camera");
  const second = plugCamera();
  page.radio("source", "camera").click();
  await until(() => page.video.srcObject === second.camera, "the camera again");
  assert.deepEqual([first, second].map(({ track }) => track.stop.mock.callCount()), [1, 0]);
});

test("a camera that is allowed too late is stopped", async () => {
  const page = await openPage();
  const { camera, track } = plugCamera();
  let allow = () => {};
  navigator.mediaDevices.getUserMedia = () => new Promise((done) => (allow = () => done(camera)));
  page.choose("source", "camera");
  page.choose("source", "sample");
  allow();
  await until(() => track.stop.mock.callCount(), "the camera's end");
  assert.equal(page.video.srcObject, null);
  assert.equal(page.video.src, "sample.webm");
});

test("the sample stays if the camera is denied", async () => {
  const page = await openPage();
  navigator.mediaDevices.getUserMedia = async () => {
    throw new DOMException("denied", "NotAllowedError");
  };
  page.choose("source", "camera");
  await until(() => page.note.textContent, "a word");
  assert.equal(page.note.textContent, "No camera here");
  assert.ok(page.radio("source", "sample").checked);
  assert.equal(page.video.src, "sample.webm");
});

test("figures are shown on request and updated at a limited rate", async () => {
  const page = await openPage();
  page.video.show(40);
  assert.equal(page.timings.children.length, 0);
  page["show-timings"].checked = true;
  page["show-timings"].emit("change");
  assert.equal(page.timings.hidden, false);
  const rows = Object.fromEntries(page.timings.children.map((row) => row.children.map(({ textContent }) => textContent)));
  assert.deepEqual(rows, { Frame: "40 ms", Mask: "–", Lag: "–", Work: "0.00 ms", Person: "0.0 %", Missed: "1 of 1" });
  const [first] = page.timings.children;
  page.video.show(80);
  assert.equal(page.timings.children[0], first);
  advance(150);
  page.video.show(120);
  assert.equal(page.timings.children[0].textContent, "Frame120 ms");
  page["show-timings"].checked = false;
  page["show-timings"].emit("change");
  assert.equal(page.timings.hidden, true);
});

test("live figures include the connection", async () => {
  const page = await openPage();
  plugCamera();
  page.choose("source", "camera");
  await until(() => page.video.srcObject, "the camera");
  page.timings.hidden = false;
  advance(1000);
  page.video.show(40);
  const names = page.timings.children.map((row) => row.children[0].textContent);
  assert.deepEqual(names.slice(-3), ["Round trip", "Masks", "Skipped"]);
});

test("the outline is drawn on request and cleared with the masks", async () => {
  const page = await openPage();
  const path = page.outline.firstElementChild;
  page["show-outline"].checked = true;
  page["show-outline"].emit("change");
  assert.ok(!page.outline.hasAttribute("hidden"));
  page.video.show(40);
  assert.equal(path.getAttribute("d"), "", "there is no mask yet");
  path.setAttribute("d", "M0 0Z");
  page.choose("side", "front");
  assert.equal(path.getAttribute("d"), "");
  page["show-outline"].checked = false;
  page["show-outline"].emit("change");
  assert.ok(page.outline.hasAttribute("hidden"));
  page.choose("side", "behind");
  path.setAttribute("d", "M0 0Z");
  page.choose("side", "front");
  assert.equal(path.getAttribute("d"), "", "a hidden outline isn't outdated when shown again");
});

test("a viewer's comment is trimmed and shown once, and an empty one isn't", async () => {
  const page = await openPage();
  const feed = () => {
    for (const animation of page.comments.getAnimations()) animation.currentTime = animation.options.duration ?? 0;
    advance(120);
  };
  page.comments.box = { x: 0, y: 0, width: 600, height: 300 };
  page.words.value = "  hello  ";
  assert.ok(page.say.emit("submit").defaultPrevented, "the page isn't left");
  assert.equal(page.words.value, "");
  page.words.value = "   ";
  page.say.emit("submit");
  FakeResizeObserver.notify(page.comments);
  feed();
  feed();
  const own = page.comments.children.filter(({ className }) => className === "own");
  assert.deepEqual(own.map(({ textContent }) => textContent), ["hello"]);
});

test("a missing element of the page is reported", async () => {
  const whole = document.body;
  document.body = new FakeHtmlElement("body");
  await assert.rejects(import(`../../../service/danmatte/web/demo.js?${++pages}`), /expected .* at #stage/);
  document.body = whole;
});
