/** Reads the tracks whose paths are in TRACKS, and prints their masks for the test around this one to compare. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { deflateSync } from "node:zlib";

globalThis.document = { baseURI: "http://test/" };
const { openTrack } = await import("../../../service/danmatte/web/track.js");

const tracks = JSON.parse(process.env.TRACKS ?? "[]");
const video = { playbackRate: 1, duration: 60, loop: false };

/** Answers ranges of a file, or the whole of it, as servers do. */
function serve(bytes, ranges) {
  const asked = [];
  globalThis.fetch = async (_url, { headers }) => {
    asked.push(headers.Range);
    if (!ranges) return new Response(bytes);
    const [first, last] = headers.Range.match(/\d+/g).map(Number);
    const part = bytes.subarray(first, last + 1);
    return new Response(part, { status: 206, headers: { "Content-Range": `bytes ${first}-${last}/${bytes.length}` } });
  };
  return asked;
}

/** Waits for the mask of a frame. */
async function maskAt(track, ms) {
  for (let tries = 0; tries < 500 && !track.at(ms); tries++) {
    track.want(ms, video);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.ok(track.at(ms), track.error);
  return track.at(ms);
}

/** The person's share by the outline's area. */
function share({ width, height, rings }) {
  let sum = 0;
  for (const ring of rings) {
    for (let at = 0; at < ring.length; at += 2) {
      const next = (at + 2) % ring.length;
      sum += ring[at] * ring[next + 1] - ring[next] * ring[at + 1];
    }
  }
  return Math.abs(sum / 2) / (width * height);
}

for (const { path, expected } of tracks) {
  for (const ranges of [true, false]) {
    test(`${path}, ${ranges ? "by ranges" : "whole"}`, async () => {
      const asked = serve(readFileSync(path), ranges);
      const track = openTrack("film");
      await track.ready;
      for (const { ms, pts, cut, held, coverage } of expected) {
        const mask = await maskAt(track, ms);
        assert.equal(mask.pts, pts);
        if (cut !== undefined) assert.deepEqual([mask.cut, mask.held], [cut, held]);
        assert.ok(Math.abs(share(mask.shape.outline) - coverage) < 0.01, `${share(mask.shape.outline)} at ${ms}`);
      }
      if (!ranges) assert.equal(asked.length, 1);
      track.close();
    });
  }
}

/** A track of 12 segments, 10 seconds each, the first one from 100 ms on: nobody in any. */
function long() {
  const packed = deflateSync(Uint8Array.of(0, 1, 0, 0));
  const head = Buffer.alloc(20 + 20 * 12);
  head.write("MATT");
  head[4] = 1;
  [[8, 320], [10, 180]].forEach(([at, side]) => head.writeUInt16BE(side, at));
  head.writeUInt32BE(12, 16);
  for (let number = 0; number < 12; number++) {
    head.writeBigUInt64BE(BigInt(number * 10_000 + 100), 20 + 20 * number);
    head.writeBigUInt64BE(BigInt(head.length + number * packed.length), 28 + 20 * number);
    head.writeUInt32BE(packed.length, 36 + 20 * number);
  }
  return Buffer.concat([head, ...Array(12).fill(packed)]);
}

test("near the end of a loop its beginning doesn't drive out what is shown", async () => {
  const asked = serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  for (let number = 0; number < 12; number++) await maskAt(track, number * 10_000 + 100);
  const looped = { playbackRate: 1, duration: 120, loop: true };
  for (let round = 0; round < 20; round++) {
    track.want(119_000, looped);
    await new Promise((resolve) => setTimeout(resolve, 2));
    assert.ok(track.at(119_000));
  }
  assert.ok(track.at(100));
  assert.equal(asked.length, 1 + 12 + 1);
});

test("before the first mask its frame is on the screen already", async () => {
  serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  assert.equal((await maskAt(track, 0)).pts, 100);
});

test("after the last mask there is none, once the next one would be due", async () => {
  serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  await maskAt(track, 110_100);
  assert.equal(track.at(119_900).pts, 110_100);
  assert.equal(track.at(121_000), null);
  assert.equal((await maskAt(track, 100)).pts, 100);
});

/** Answers with these statuses in turn, the last one for ever; how often it was asked. */
function refuse(...statuses) {
  const asked = [];
  globalThis.fetch = async () => new Response("", { status: statuses[Math.min(asked.push(0), statuses.length) - 1] });
  return asked;
}

/** A viewer who watches for some seconds, on a clock of their own. */
async function watch(track, seconds) {
  for (let at = 0; at < seconds * 10; at++) {
    clock += 100;
    track.want(0, video);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

let clock = performance.now();
Object.defineProperty(globalThis, "performance", { value: { now: () => clock } });

test("what the server refuses isn't asked for again", async () => {
  for (const status of [404, 403, 410, 416]) {
    const asked = refuse(status);
    const track = openTrack("film");
    await track.ready;
    await watch(track, 300);
    assert.equal(asked.length, 1);
    assert.match(track.error, new RegExp(`received ${status}`));
  }
});

test("what failed on the way is tried again, ever more seldom", async () => {
  for (const status of [503, 429]) {
    const asked = refuse(status);
    const track = openTrack("film");
    await track.ready;
    await watch(track, 10);
    assert.ok(asked.length >= 3 && asked.length <= 4, `${asked.length}`);
    await watch(track, 290);
    assert.ok(asked.length >= 8 && asked.length <= 11, `${asked.length}`);
    serve(long(), true);
    await watch(track, 61);
    assert.equal(track.error, "");
    track.close();
  }
});

for (const { path, good } of JSON.parse(process.env.DAMAGED ?? "[]")) {
  test(`${path} is ${good ? "read" : "refused"}`, async () => {
    serve(readFileSync(path), true);
    const track = openTrack("film");
    await track.ready;
    for (let tries = 0; tries < 100 && !track.error && !track.at(0); tries++) {
      track.want(0, video);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.equal(track.error === "", good, track.error);
    if (good) assert.ok(track.at(0).shape.outline);
    track.close();
  });
}

test("something else is not a track", async () => {
  serve(new Uint8Array(64), true);
  const track = openTrack("film");
  await track.ready;
  assert.match(track.error, /expected a mask track/);
  assert.equal(track.at(0), null);
});
