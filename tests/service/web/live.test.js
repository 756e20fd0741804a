import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { advance, clock, encodePicture, encodings, FakeSocket, FakeVideo, flush, installBrowser, until } from "./fakes.js";

const document = installBrowser();
const { openLive } = await import("../../../service/danmatte/web/live.js");

const URL_ = "ws://test/v1/stream";
const opened = [];

beforeEach(() => {
  FakeSocket.all.length = 0;
  encodings.length = 0;
  document.made.length = 0;
  advance(60_000);
});

afterEach(() => {
  for (const live of opened.splice(0)) live.close();
  mock.restoreAll();
});

/** A live source, closed after the test. */
function open(where = URL_) {
  opened.push(openLive(where));
  return opened.at(-1);
}

const film = (properties = {}) => new FakeVideo({ currentSrc: "one.mp4", ...properties });

/** Shows a frame to a source, up to sending its picture. Returns the socket. */
function send(live, video, ms) {
  live.want(ms, video);
  const socket = FakeSocket.all.at(-1);
  if (socket.readyState === 0) {
    socket.open();
    live.want(ms, video);
  }
  encodings.shift()?.(new Blob(["jpeg"]));
  return socket;
}

/** The same, up to receiving its mask. */
async function receive(live, video, ms, answer = {}) {
  const masks = live.counts.masks;
  const socket = send(live, video, ms);
  socket.answer({ pts: ms, ...answer });
  await until(() => live.counts.masks > masks, `the mask of ${ms}`);
  return socket;
}

test("the given address is used with the masks' size", () => {
  send(open("wss://masks.example/v1/stream?key=1"), film({ videoWidth: 640, videoHeight: 480 }), 0);
  const [{ url }] = FakeSocket.all;
  assert.equal(url.origin + url.pathname, "wss://masks.example/v1/stream");
  assert.deepEqual(Object.fromEntries(url.searchParams), { key: "1", width: "320", height: "240", format: "png", threshold: "0.5" });
});

test("an address function is called for each connection", async () => {
  const tokens = ["one", "two"];
  const live = open({ url: () => `wss://masks.example/v1/stream?token=${tokens.shift()}` });
  const first = await receive(live, film(), 0);
  first.drop("no offer came for long", 1000);
  advance(250);
  live.want(1000, film());
  assert.deepEqual(FakeSocket.all.map(({ url }) => url.searchParams.get("token")), ["one", "two"]);
  assert.equal(FakeSocket.all[1].url.searchParams.get("width"), "320");
});

test("a failing address function is reported as an error", () => {
  const live = open({
    url: () => {
      throw new Error("no token yet");
    },
  });
  mock.method(console, "warn", () => {});
  live.want(0, film());
  assert.match(live.error, /no token yet/);
});

test("an HTTP address becomes a WebSocket address", () => {
  for (const [given, expected] of [["http://test/v1/stream", "ws:"], ["https://test/v1/stream", "wss:"], [new URL("https://test/"), "wss:"]]) {
    send(open(given), film(), 0);
    assert.equal(FakeSocket.all.at(-1).url.protocol, expected);
  }
});

test("options set the size of masks and frames", () => {
  send(open({ url: URL_, width: 160, frameWidth: 256 }), film({ videoWidth: 1920, videoHeight: 1080 }), 0);
  assert.equal(FakeSocket.all[0].url.searchParams.get("width"), "160");
  assert.equal(FakeSocket.all[0].url.searchParams.get("height"), "90");
  const [canvas] = document.made.filter(({ tag, width }) => tag === "canvas" && width === 256);
  assert.deepEqual([canvas.width, canvas.height], [256, 144]);
});

test("frames of a small video aren't enlarged", () => {
  const live = open({ url: URL_, frameWidth: 512 });
  live.want(0, film({ videoWidth: 100, videoHeight: 50 }));
  FakeSocket.all[0].open();
  live.want(0, film({ videoWidth: 100, videoHeight: 50 }));
  assert.deepEqual([encodings[0].width, encodings[0].height], [100, 50]);
  assert.deepEqual([encodings[0].type, encodings[0].quality], ["image/jpeg", 0.8]);
});

test("a frame is sent as a header and a JPEG", async () => {
  const socket = send(open(), film(), 1234.5);
  const bytes = await socket.sent[0].arrayBuffer();
  const view = new DataView(bytes);
  assert.equal(new TextDecoder().decode(bytes.slice(0, 4)), "DML1");
  assert.deepEqual([...new Uint8Array(bytes, 4, 4)], [1, 0, 0, 0]);
  assert.equal(view.getFloat64(8, true), 1234.5);
  assert.equal(view.getUint32(16, true), 0);
  assert.equal(new TextDecoder().decode(bytes.slice(20)), "jpeg");
});

test("a mask has the outline of the response's bright pixels and its facts", async () => {
  const live = open();
  const body = encodePicture(32, 18, (x) => (x < 16 ? 255 : 127));
  await receive(live, film(), 40, { flags: 3, coverage: 0.5, body });
  const mask = live.at(40);
  assert.deepEqual([mask.pts, mask.cut, mask.held, mask.coverage], [40, true, true, 0.5]);
  const { width, height, rings } = mask.shape.outline;
  assert.deepEqual([width, height, rings.length], [32, 18, 1]);
  const xs = rings[0].filter((_, at) => at % 2 === 0);
  assert.deepEqual([Math.min(...xs), Math.max(...xs)], [0, 16]);
  assert.ok(mask.shape.bytes > rings[0].byteLength);
});

test("the flags cut and held are distinguished", async () => {
  const live = open();
  await receive(live, film(), 40, { flags: 2 });
  assert.deepEqual([live.at(40).cut, live.at(40).held], [false, true]);
});

test("a mask is used for at most patienceMs", async () => {
  const live = open({ url: URL_, patienceMs: 200 });
  await receive(live, film(), 1000);
  assert.equal(live.at(1200).pts, 1000);
  assert.equal(live.at(1201), null);
  assert.equal(live.at(900), null);
});

test("no mask is used across a cut", async () => {
  const live = open();
  const video = film({ grey: 20 });
  await receive(live, video, 1000);
  video.grey = 220;
  live.want(1040, video);
  assert.equal(live.at(1039).pts, 1000);
  assert.equal(live.at(1040), null);
});

test("regions are requested by name, without a common threshold", () => {
  send(open({ url: URL_, region: "person,text" }), film(), 0);
  const { searchParams } = FakeSocket.all.at(-1).url;
  assert.equal(searchParams.get("region"), "person,text");
  assert.equal(searchParams.get("threshold"), null);
});

test("a connection and a mask are reported to onchange", async () => {
  const live = open();
  const [changes, video] = [[], film()];
  live.onchange = () => changes.push(live.counts.masks);
  await receive(live, video, 0);
  assert.deepEqual(changes, [0, 1], "once for the connection, once for the mask");
});

test("the round trip is that of the newest response", async () => {
  const live = open();
  const socket = send(live, film(), 0);
  advance(85);
  socket.answer({ pts: 0 });
  assert.equal(live.roundTrip, 85);
  await until(() => live.counts.masks);
});

test("at most two frames are in flight", () => {
  const [live, video] = [open(), film()];
  for (const ms of [0, 40, 40, 80, 120]) send(live, video, ms);
  assert.equal(live.counts.sent, 2);
  FakeSocket.all[0].answer({ pts: 0 });
  send(live, video, 160);
  assert.equal(live.counts.sent, 3);
});

test("a frame in flight isn't sent again", () => {
  const [live, video] = [open(), film()];
  send(live, video, 0);
  live.want(0, video);
  assert.equal(encodings.length, 0);
});

test("the end of a film's connection doesn't affect the next film's", async () => {
  const [live, video] = [open(), film()];
  const first = send(live, video, 0);
  video.currentSrc = "two.mp4";
  send(live, video, 0);
  first.drop("gone");
  assert.equal(live.error, "");
  const count = FakeSocket.all.length;
  await receive(live, video, 40);
  assert.equal(FakeSocket.all.length, count);
});

test("only one picture is encoded at a time", () => {
  const [live, video] = [open(), film()];
  live.want(0, video);
  FakeSocket.all[0].open();
  for (const ms of [0, 40, 80]) live.want(ms, video);
  assert.equal(encodings.length, 1);
  encodings.shift()(null); // the browser couldn't encode the picture
  live.want(120, video);
  assert.equal(encodings.length, 1);
  assert.equal(live.counts.sent, 0);
});

test("a frame whose mask is known isn't sent again", async () => {
  const [live, video] = [open(), film()];
  await receive(live, video, 1000);
  for (const ms of [1000, 1003, 997]) live.want(ms, video);
  assert.equal(encodings.length, 0);
  live.want(1005, video);
  assert.equal(encodings.length, 1);
});

test("frames skipped by the server are counted and no longer in flight", async () => {
  const [live, video] = [open(), film()];
  const socket = send(live, video, 0);
  send(live, video, 40);
  socket.answer({ pts: 40, skipped: [0], body: encodePicture(32, 18, (x) => (x < 16 ? 255 : 0)) });
  await until(() => live.counts.masks);
  assert.equal(live.at(40).shape.outline.rings.length, 1, "the picture starts after the times of the skipped frames");
  assert.equal(live.counts.skipped, 1);
  send(live, video, 80);
  send(live, video, 120);
  assert.equal(live.counts.sent, 4, "both frames are no longer in flight");
});

test("an error response is kept as text, and the next frame is sent", async () => {
  const [live, video] = [open(), film()];
  const socket = send(live, video, 0);
  socket.answer({ pts: 0, status: 422, body: new TextEncoder().encode('{"error": "expected a picture"}') });
  assert.deepEqual([live.error, live.counts.errors], ["expected a picture", 1]);
  send(live, video, 40);
  assert.equal(live.counts.sent, 2);
  assert.equal(live.counts.masks, 0);
});

test("a mask that can't be decoded is reported, and the next one is shown", async () => {
  const live = open();
  const video = film();
  const socket = send(live, video, 0);
  mock.method(globalThis, "createImageBitmap", () => Promise.reject(new DOMException("The source image could not be decoded.", "InvalidStateError")));
  socket.answer({ pts: 0 });
  await until(() => live.counts.errors === 1, "the error"); // an unhandled rejection would fail this test
  assert.match(live.error, /a mask that can't be read: The source image/);
  mock.restoreAll();
  await receive(live, video, 40);
  assert.deepEqual([live.error, live.at(40).pts], ["", 40]);
});

test("a lost connection is retried with increasing pauses that a mask resets", async () => {
  mock.method(Math, "random", () => 1);
  const [live, video] = [open(), film()];
  live.want(0, video);
  for (const pause of [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]) {
    const count = FakeSocket.all.length;
    FakeSocket.all.at(-1).drop("restarting");
    assert.equal(live.error, "restarting");
    advance(pause - 1);
    live.want(0, video);
    assert.equal(FakeSocket.all.length, count, `before ${pause} ms`);
    advance(1);
    live.want(0, video);
    assert.equal(FakeSocket.all.length, count + 1, `after ${pause} ms`);
  }
  await receive(live, video, 40);
  FakeSocket.all.at(-1).drop();
  advance(250);
  live.want(80, video);
  assert.equal(live.counts.connections, 1);
  send(live, video, 80);
  assert.equal(live.counts.connections, 2);
});

test("a connection closed for inactivity is no error, and a later frame opens a new one", async () => {
  const live = open();
  const [video, errors] = [film(), []];
  const first = await receive(live, video, 0);
  live.onchange = () => errors.push(live.error);
  first.drop("no offer came for long", 1000);
  assert.deepEqual([live.error, errors], ["", []]);
  live.want(1000, video);
  assert.equal(FakeSocket.all.length, 1); // with a delay; otherwise a server that closes each connection would get a new one at every frame
  advance(250);
  live.want(1040, video);
  assert.equal(FakeSocket.all.length, 2);
  await receive(live, video, 1080);
  assert.equal(live.counts.connections, 2);
});

test("half of the pause before a reconnection is random", () => {
  mock.method(Math, "random", () => 0);
  const [live, video] = [open(), film()];
  live.want(0, video);
  FakeSocket.all[0].drop();
  advance(125);
  live.want(0, video);
  assert.equal(FakeSocket.all.length, 2);
});

test("frames lost with their connection are sent again", () => {
  const [live, video] = [open(), film()];
  send(live, video, 0);
  send(live, video, 40);
  FakeSocket.all[0].drop();
  advance(15_000);
  send(live, video, 0);
  send(live, video, 40);
  assert.equal(live.counts.sent, 4);
});

test("a picture encoded after its connection was lost isn't sent", () => {
  const [live, video] = [open(), film()];
  live.want(0, video);
  const [socket] = FakeSocket.all;
  socket.open();
  live.want(0, video);
  socket.drop();
  encodings.shift()(new Blob(["jpeg"]));
  assert.deepEqual([socket.sent.length, live.counts.sent], [0, 0]);
});

test("a changed aspect ratio opens a new connection", () => {
  const [live, video] = [open(), film()];
  const first = send(live, video, 0);
  Object.assign(video, { videoWidth: 180, videoHeight: 320 });
  live.want(40, video);
  assert.equal(first.readyState, 2, "the old one is closed");
  first.drop();
  advance(15_000);
  live.want(80, video);
  assert.equal(FakeSocket.all.at(-1).url.searchParams.get("height"), "569");
});

test("a video without a size opens no connection", () => {
  open().want(0, film({ videoWidth: 0, videoHeight: 0 }));
  assert.equal(FakeSocket.all.length, 0);
});

test("a new film in the same element doesn't use masks of the previous one", async () => {
  const [live, video] = [open(), film()];
  await receive(live, video, 1000);
  const socket = send(live, video, 1040); // still pending when the film changes
  video.currentSrc = "two.mp4";
  live.want(1000, video);
  assert.equal(live.at(1000), null);
  socket.answer({ pts: 1040 });
  await flush();
  assert.equal(live.at(1040), null);
  await receive(live, video, 1000);
  assert.equal(live.at(1000).pts, 1000);
  assert.equal(live.counts.sent, 3);
});

test("a mask that is being decoded when the film changes is discarded", async () => {
  const [live, video] = [open(), film()];
  const socket = send(live, video, 1000);
  socket.answer({ pts: 1000 }); // its picture isn't decoded yet
  video.currentSrc = "two.mp4";
  live.want(0, video);
  await flush();
  await flush();
  assert.deepEqual([live.counts.masks, live.at(1000)], [0, null]);
});

test("a camera in place of a file counts as a new film", async () => {
  const [live, video] = [open(), film()];
  await receive(live, video, 1000);
  video.srcObject = {};
  live.want(2000, video);
  assert.equal(live.at(1000), null);
});

test("the look-ahead copy is replaced when the film changes", () => {
  const [live, video] = [open({ url: URL_, ahead: 1 }), film()];
  live.want(0, video);
  video.currentSrc = "two.mp4";
  live.want(0, video);
  live.want(40, video);
  const copies = document.made.filter(({ tag }) => tag === "video");
  live.close();
  assert.deepEqual(copies.map(({ loads }) => loads), [1, 1], "each is released");
  assert.equal(copies.length, 2);
});

test("if a look-ahead copy can't be opened, shown frames are sent", async () => {
  const warn = mock.method(console, "warn", () => {});
  const [live, video] = [open({ url: URL_, ahead: 1 }), film({ currentSrc: "blob:http://test/1" })];
  await receive(live, video, 0);
  const copies = () => document.made.filter(({ tag }) => tag === "video");
  copies()[0].emit("error");
  const [, body] = [await receive(live, video, 40), live.at(40)];
  assert.equal(body.pts, 40, "40 ms after the one before: a copy ahead would have had it");
  assert.deepEqual([copies().length, warn.mock.callCount()], [1, 1]);
  video.currentSrc = "two.mp4";
  live.want(0, video);
  assert.equal(copies().length, 2, "a new film is tried again");
});

test("with a look-ahead copy, shown frames near a mask aren't sent", async () => {
  const [live, video] = [open({ url: URL_, ahead: 1 }), film()];
  await receive(live, video, 1000);
  live.want(1099, video);
  assert.equal(encodings.length, 0);
  live.want(1101, video);
  assert.equal(encodings.length, 1);
});

test("frames of the look-ahead copy are sent", () => {
  const [live, video] = [open({ url: URL_, ahead: 1 }), film()];
  send(live, video, 0);
  const [copy] = document.made.filter(({ tag }) => tag === "video");
  copy.show(1000);
  encodings.shift()(new Blob(["jpeg"]));
  assert.equal(live.counts.sent, 2);
});

test("a camera has no look-ahead copy", () => {
  const live = open({ url: URL_, ahead: 1 });
  live.want(0, film({ srcObject: {}, currentSrc: "" }));
  assert.equal(document.made.filter(({ tag }) => tag === "video").length, 0);
});

test("a video that can't be read is reported once, and the next one is tried", async () => {
  const warn = mock.method(console, "warn", () => {});
  const live = open();
  const video = film({ currentSrc: "https://elsewhere/one.mp4", tainted: true });
  for (const ms of [0, 40, 80]) live.want(ms, video);
  assert.equal(warn.mock.callCount(), 1);
  assert.match(live.error, /may not be read: .* crossorigin/);
  assert.equal(FakeSocket.all.length, 0);
  Object.assign(video, { currentSrc: "here.mp4", tainted: false });
  await receive(live, video, 0);
  assert.equal(live.at(0).pts, 0);
});

test("errors other than a refused read aren't hidden", () => {
  const broken = Object.defineProperty(film(), "grey", {
    get() {
      throw new RangeError("broken");
    },
  });
  assert.throws(() => open().want(0, broken), RangeError);
});

test("nothing is sent after closing", () => {
  const [live, video] = [open(), film()];
  const socket = send(live, video, 0);
  live.close();
  assert.equal(socket.readyState, 2);
  live.want(40, video);
  assert.equal(encodings.length, 0);
  assert.ok(clock.now > 0);
});

test("a server that refuses or doesn't respond is reported within three seconds", async () => {
  const video = film();
  const refused = open();
  refused.want(0, video);
  FakeSocket.all.at(-1).drop();
  assert.equal(refused.error, "no connection to test");

  const elsewhere = open("ws://masks.example/v1/stream");
  globalThis.location = { host: "films.example", origin: "https://films.example" };
  elsewhere.want(0, video);
  FakeSocket.all.at(-1).drop();
  assert.equal(elsewhere.error, "no connection to masks.example: it isn't running, or its setting origins doesn't include https://films.example");
  delete globalThis.location;

  const silent = open();
  let changes = 0;
  silent.onchange = () => (changes += 1);
  silent.want(0, video);
  advance(2499);
  assert.deepEqual([silent.error, changes], ["", 0]);
  advance(1);
  assert.deepEqual([silent.error, changes], ["no answer from test", 1]);

  const mute = open();
  send(mute, video, 0);
  advance(2500);
  assert.equal(mute.error, "no answer from test");
});

test("an invalid address is reported once without throwing", () => {
  const refuse = mock.method(globalThis, "WebSocket", class {
    constructor() {
      throw new DOMException("An insecure WebSocket connection may not be initiated", "SecurityError");
    }
  });
  const [live, video] = [open("ws://test/v1/stream"), film()];
  let reported = "";
  live.onchange = () => (reported = live.error);
  live.want(0, video);
  assert.equal(reported, "ws://test/v1/stream: expected the address of a stream: An insecure WebSocket connection may not be initiated");
  live.want(40, video);
  assert.equal(refuse.mock.callCount(), 1, "not with every frame");
  refuse.mock.restore();
  const wrong = open("http://");
  wrong.want(0, video);
  assert.match(wrong.error, /^http:\/\/: expected the address of a stream: Invalid URL/);
});

test("a connection without responses is closed and retried", () => {
  const [live, video] = [open(), film()];
  const socket = send(live, video, 0);
  advance(2500);
  advance(7500);
  assert.equal(socket.readyState, 2);
  advance(15_000);
  live.want(40, video);
  assert.equal(FakeSocket.all.length, 2);
});

test("a slow server isn't reported, and a late mask clears the error", async () => {
  const [live, video] = [open(), film()];
  const socket = send(live, video, 0);
  send(live, video, 40);
  advance(2000);
  socket.answer({ pts: 0 });
  advance(2000);
  assert.equal(live.error, "");
  advance(500);
  assert.equal(live.error, "no answer from test");
  socket.answer({ pts: 40 });
  await until(() => live.counts.masks === 2, "the masks");
  assert.equal(live.error, "");
  advance(60_000);
  assert.equal(live.error, "", "no frame is in flight");
});

test("an error response is reported immediately", () => {
  const [live, video] = [open(), film()];
  let reported = "";
  live.onchange = () => (reported = live.error);
  const socket = send(live, video, 0);
  socket.answer({ pts: 0, status: 422, body: new TextEncoder().encode('{"error": "too small"}') });
  assert.equal(reported, "too small");
});

test("a resting source closes its connection until a frame is requested", async () => {
  const [live, video] = [open(), film()];
  const socket = await receive(live, video, 0);
  live.rest();
  assert.deepEqual([socket.readyState, live.at(0)], [2, null]);
  await receive(live, video, 40);
  assert.equal(live.at(40).pts, 40);
});

test("addresses are relative to the page, whose server is the default", () => {
  document.baseURI = "https://films.example/watch/7";
  send(open("masks/v1/stream"), film(), 0);
  assert.equal(FakeSocket.all.at(-1).url.href.split("?")[0], "wss://films.example/watch/masks/v1/stream");
  send(open(true), film(), 0);
  assert.equal(FakeSocket.all.at(-1).url.href.split("?")[0], "wss://films.example/v1/stream");
  document.baseURI = "http://test/";
});
