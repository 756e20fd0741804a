import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.document = Object.assign(new EventTarget(), { baseURI: "http://test/" });
globalThis.ResizeObserver = class {
  observe() {}
  disconnect() {}
};
globalThis.requestAnimationFrame = () => 1;
globalThis.cancelAnimationFrame = () => {};
globalThis.getComputedStyle = () => ({ objectFit: "contain", objectPosition: "50% 50%" });
const { attach } = await import("../../../service/danmatte/web/danmatte.js");

const box = { x: 0, y: 0, width: 320, height: 180 };
const film = () =>
  Object.assign(new EventTarget(), {
    requestVideoFrameCallback: () => 1,
    cancelVideoFrameCallback: () => {},
    getBoundingClientRect: () => box,
    readyState: 2,
    currentTime: 1,
  });
const comments = () => ({ style: { clipPath: "", filter: "" }, animate() {}, getBoundingClientRect: () => box });
const outline = { width: 2, height: 2, rings: [Float32Array.of(0, 0, 1, 0, 1, 1)] };
const source = () => ({ at: () => ({ pts: 1000, shape: { outline } }), want() {}, close() {} });

test("a layer that was attached twice is found as it was in the end", () => {
  const [video, layer] = [film(), comments()];
  const first = attach(video, layer, { source: source() });
  const second = attach(video, layer, { source: source() });
  assert.match(layer.style.clipPath, /^path/);
  first.detach();
  assert.match(layer.style.clipPath, /^path/);
  second.detach();
  assert.equal(layer.style.clipPath, "");
});
