import assert from "node:assert/strict";
import { test } from "node:test";

const [WIDTH, HEIGHT] = [320, 180];
const context = { drawImage() {}, getImageData: (_x, _y, w, h) => ({ data: new Uint8ClampedArray(4 * w * h) }) };
const copies = [];
const canvas = () => ({ getContext: () => context, toBlob: (done) => setTimeout(() => done(new Blob(["jpeg"]))) });
const copy = () => Object.assign(new EventTarget(), { requestVideoFrameCallback() {}, cancelVideoFrameCallback() {}, removeAttribute() {}, load() {} });
globalThis.document = { createElement: (name) => (name === "video" ? (copies.push(copy()), copies.at(-1)) : canvas()) };
globalThis.OffscreenCanvas = class {
  getContext = () => context;
};
globalThis.createImageBitmap = async () => ({ width: WIDTH, height: HEIGHT });

/** A server that answers every frame with nobody. */
globalThis.WebSocket = class {
  static OPEN = 1;
  readyState = 1;
  close() {
    this.readyState = 3;
  }
  async send(offer) {
    const answer = new DataView(new ArrayBuffer(56));
    answer.setUint16(6, 200, true);
    answer.setFloat64(8, new DataView(await offer.arrayBuffer()).getFloat64(8, true), true);
    answer.setUint16(16, WIDTH, true);
    answer.setUint16(18, HEIGHT, true);
    this.onmessage({ data: answer.buffer });
  }
};
const { openLive } = await import("../../../service/danmatte/web/live.js");
const settled = () => new Promise((resolve) => setTimeout(resolve, 20));

test("another film in the same element has masks of its own", async () => {
  const live = openLive("ws://test/v1/stream");
  const video = { videoWidth: WIDTH, videoHeight: HEIGHT, currentSrc: "one.mp4" };
  live.want(1000, video);
  await settled();
  assert.equal(live.at(1000)?.pts, 1000);
  live.want(1040, video); // still on its way when the film changes
  video.currentSrc = "two.mp4";
  live.want(1000, video);
  assert.equal(live.at(1000), null);
  await settled();
  assert.equal(live.at(1040), null);
  live.want(1000, video);
  await settled();
  assert.equal(live.at(1000)?.pts, 1000);
  assert.equal(live.counts.sent, 2);
  live.close();
});

test("what runs ahead is the film that plays, also after another one", () => {
  const live = openLive({ url: "ws://test/v1/stream", ahead: 1 });
  const video = Object.assign(new EventTarget(), { videoWidth: WIDTH, videoHeight: HEIGHT, src: "", currentSrc: "one.mp4" });
  live.want(0, video);
  video.currentSrc = "two.mp4";
  live.want(0, video);
  live.want(40, video);
  live.close();
  assert.deepEqual(copies.map(({ src }) => src), ["one.mp4", "two.mp4"]);
});

test("a video that may not be read is said to be so, once, and the next one is tried", async () => {
  const live = openLive("ws://test/v1/stream");
  const video = { videoWidth: WIDTH, videoHeight: HEIGHT, currentSrc: "https://elsewhere/one.mp4" };
  const { getImageData } = context;
  let tries = 0;
  context.getImageData = () => {
    tries += 1;
    throw new DOMException("tainted", "SecurityError");
  };
  for (const ms of [0, 40, 80]) live.want(ms, video);
  assert.equal(tries, 1);
  assert.match(live.error, /may not be read: .* crossorigin/);
  assert.equal(live.counts.sent, 0);
  context.getImageData = getImageData;
  video.currentSrc = "here.mp4";
  live.want(0, video);
  await settled();
  assert.equal(live.at(0)?.pts, 0);
  live.close();
});
