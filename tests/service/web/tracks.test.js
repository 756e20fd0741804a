/** Reads the tracks whose paths are in TRACKS, and prints their masks for the test around this one to compare. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, mock, test } from "node:test";
import { deflateSync, gzipSync } from "node:zlib";

import { advance, flush, installBrowser, until } from "./fakes.js";

installBrowser();
const { openTrack } = await import("../../../service/danmatte/web/track.js");

const tracks = JSON.parse(process.env.TRACKS ?? "[]");
const video = { playbackRate: 1, duration: 60, loop: false };

/** Serves ranges of a file, or the whole file, like a web server. */
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

let warn;
beforeEach(() => {
  warn = mock.method(console, "warn", () => {});
});
afterEach(() => warn.mock.restore());

/** Waits for the mask of a frame, or for the reason why there is none. */
async function loadMask(track, ms) {
  track.want(ms, video);
  await until(() => track.at(ms) || track.error, `the mask of ${ms}`);
  assert.ok(track.at(ms), track.error);
  return track.at(ms);
}

/** The share of the picture that shows people, computed from the outline's area. */
function measureShare({ width, height, rings }) {
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
        const mask = await loadMask(track, ms);
        assert.equal(mask.pts, pts);
        if (cut !== undefined) assert.deepEqual([mask.cut, mask.held], [cut, held]);
        assert.ok(Math.abs(measureShare(mask.shape.outline) - coverage) < 0.01, `${measureShare(mask.shape.outline)} at ${ms}`);
      }
      if (!ranges) assert.equal(asked.length, 1);
      track.close();
    });
  }
}

/** A track of these segments, each a start in ms and its compressed bytes; `lie` may change head and index. */
function writeTrack(segments, lie = () => {}) {
  const head = Buffer.alloc(20 + 20 * segments.length);
  head.write("MATT");
  head[4] = 1;
  [[8, 320], [10, 180]].forEach(([at, side]) => head.writeUInt16BE(side, at));
  head.writeUInt32BE(segments.length, 16);
  let offset = head.length;
  segments.forEach(([pts, packed], number) => {
    head.writeBigUInt64BE(BigInt(pts), 20 + 20 * number);
    head.writeBigUInt64BE(BigInt(offset), 28 + 20 * number);
    head.writeUInt32BE(packed.length, 36 + 20 * number);
    offset += packed.length;
  });
  lie(head);
  return Buffer.concat([head, ...segments.map(([, packed]) => packed)]);
}

const nobody = (...times) => deflateSync(Uint8Array.from(times.flatMap((later) => [later, 1, 0, 0])));

/** 12 segments of 10 seconds each, the first from 100 ms on; all masks are empty. */
const long = () => writeTrack(Array.from({ length: 12 }, (_, number) => [number * 10_000 + 100, nobody(0)]));

test("near the end of a loop its beginning doesn't drive out what is shown", async () => {
  const asked = serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  for (let number = 0; number < 12; number++) await loadMask(track, number * 10_000 + 100);
  const looped = { playbackRate: 1, duration: 120, loop: true };
  for (let round = 0; round < 20; round++) {
    track.want(119_000, looped);
    await flush();
    assert.ok(track.at(119_000));
  }
  await until(() => track.at(100), "the beginning");
  assert.equal(asked.length, 1 + 12 + 1);
});

test("what is shown stays though it was loaded first of all", async () => {
  serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  for (const number of [11, 1, 2, 3, 4, 5, 6, 7]) await loadMask(track, number * 10_000 + 100);
  track.want(119_000, { playbackRate: 1, duration: 120, loop: true });
  await until(() => track.at(100), "the loop's beginning");
  assert.equal(track.at(119_000).pts, 110_100);
  assert.equal(track.at(10_100), null, "the oldest that isn't wanted made room");
});

test("before the first mask there is none, and after it no other", async () => {
  serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  assert.equal((await loadMask(track, 100)).pts, 100);
  assert.deepEqual([0, 50, 91].map((ms) => track.at(ms)), [null, null, null]);
  assert.equal(track.at(92).pts, 100, "times are rounded on the way");
});

test("it says where masks may come: not before the first, nor after the last once that is known", async () => {
  serve(long(), true);
  const track = openTrack("film");
  assert.ok(track.covers(0), "nobody knows yet");
  await track.ready;
  assert.deepEqual([0, 91, 92, 50_000, 500_000].map((ms) => track.covers(ms)), [false, false, true, true, true]);
  await loadMask(track, 110_100);
  assert.deepEqual([119_900, 120_100, 120_101, 500_000].map((ms) => track.covers(ms)), [true, true, false, false]);
});

test("after the last mask there is none, once the next one would be due", async () => {
  serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  await loadMask(track, 110_100);
  assert.equal(track.at(119_900).pts, 110_100);
  assert.equal(track.at(121_000), null);
  assert.equal((await loadMask(track, 100)).pts, 100);
});

/** Responds with these statuses one after another, then always with the last. Returns a list with an entry for each request. */
function refuse(...statuses) {
  const asked = [];
  globalThis.fetch = async () => new Response("", { status: statuses[Math.min(asked.push(0), statuses.length) - 1] });
  return asked;
}

/** Simulates a viewer who watches for some seconds, on a separate clock. */
async function watch(track, seconds) {
  for (let at = 0; at < seconds * 10; at++) {
    advance(100);
    track.want(0, video);
    await flush();
  }
}

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
    await until(() => track.error === "", "the track");
    track.close();
  }
});

for (const { path, good, startMs } of JSON.parse(process.env.DAMAGED ?? "[]")) {
  test(`${path} is ${good ? "read" : "refused"}`, async () => {
    serve(readFileSync(path), true);
    const track = openTrack("film");
    await track.ready;
    track.want(startMs, video); // a track has no mask before its first one
    await until(() => track.error || track.at(startMs), path);
    assert.equal(track.error === "", good, track.error);
    if (good) assert.ok(track.at(startMs).shape.outline);
    track.close();
  });
}

/** Serves ranges of the file that `choose` returns for each request: its bytes and its stamp. */
function serveStamped(choose) {
  globalThis.fetch = async (_url, { headers }) => {
    const [first, last] = headers.Range.match(/\d+/g).map(Number);
    const [bytes, etag] = choose();
    const about = { "Content-Range": `bytes ${first}-${last}/${bytes.length}`, ETag: etag };
    return new Response(bytes.subarray(first, last + 1), { status: 206, headers: about });
  };
}

test("a track that is replaced while it is read is opened anew", async () => {
  const [old, other] = [long(), writeTrack([[50, nobody(0)], [20_000, nobody(0)]])];
  let [bytes, etag] = [old, '"one"'];
  serveStamped(() => [bytes, etag]);
  const track = openTrack("film");
  await track.ready;
  await loadMask(track, 100);
  advance(60_000);
  [bytes, etag] = [other, '"two"'];
  track.want(30_100, video);
  await until(() => track.error, "the news");
  assert.match(track.error, /the track was replaced/);
  assert.equal(track.at(100), null); // masks of the new file aren't loaded yet
  track.want(20_000, video);
  await until(() => (track.want(20_000, video), track.at(20_000)), "the mask of the other one");
  assert.deepEqual([track.at(20_000).pts, track.at(49), track.error], [20_000, null, ""]);
  track.close();
});

test("a broken segment behind stamps that always differ is asked for once a minute at most", async () => {
  const bytes = writeTrack([[0, Buffer.alloc(20)]]);
  let asked = 0;
  serveStamped(() => [bytes, `"${asked++}"`]);
  const track = openTrack("film");
  await track.ready;
  track.want(0, video);
  await until(() => track.error, "the refusal");
  for (let frame = 0; frame < 50; frame++) {
    track.want(0, video);
    await flush();
    advance(40);
  }
  assert.ok(track.error);
  assert.equal(asked, 2);
  track.close();
});

test("stamps that differ from answer to answer are no reason to open a track anew", async () => {
  const bytes = long();
  let asked = 0;
  serveStamped(() => [bytes, `"${asked++}"`]);
  const track = openTrack("film");
  await track.ready;
  for (const ms of [100, 30_100, 60_100]) await loadMask(track, ms);
  assert.deepEqual([asked, track.error], [4, ""]);
  track.close();
});

test("something else is not a track", async () => {
  serve(new Uint8Array(64), true);
  const track = openTrack("film");
  await track.ready;
  assert.match(track.error, /expected a mask track, received something else/);
  assert.equal(track.at(0), null);
});

test("a page that answers in a track's place is called what it is", async () => {
  const headers = { "Content-Type": "text/html" };
  globalThis.fetch = async () => new Response("<!doctype html><title>Everything is here</title>", { headers });
  const track = openTrack("film");
  await track.ready;
  assert.equal(track.error, "http://test/film: expected a mask track, received text/html");
});

test("a server that says nothing is told, and asked again", async () => {
  const bytes = long();
  const silent = (_url, { signal }) => new Promise((_done, fail) => signal.addEventListener("abort", () => fail(signal.reason)));
  const halting = async (_url, { signal }) => {
    const body = new ReadableStream({
      start(stream) {
        stream.enqueue(bytes.subarray(0, 30));
        signal.addEventListener("abort", () => stream.error(signal.reason));
      },
    });
    return new Response(body);
  };
  for (const answer of [silent, halting]) {
    globalThis.fetch = answer;
    const track = openTrack("film");
    for (let chunk = 0; chunk < 5; chunk++) await flush();
    advance(9999);
    await flush();
    assert.equal(track.error, "");
    advance(1);
    await until(() => track.error, "an error");
    assert.equal(track.error, "http://test/film: expected masks, received nothing for 10 s");
    serve(bytes, true);
    await watch(track, 2);
    assert.equal((await loadMask(track, 100)).pts, 100);
    assert.equal(track.error, "");
    track.close();
  }
});

test("what goes wrong in the page's own callback isn't the track's fault", async () => {
  serve(long(), true);
  const track = openTrack("film");
  const errors = [];
  const listen = (error) => errors.push(error.message);
  process.setUncaughtExceptionCaptureCallback(listen);
  track.onchange = () => {
    throw new TypeError("of the page");
  };
  await track.ready;
  assert.equal((await loadMask(track, 100)).pts, 100);
  await flush();
  process.setUncaughtExceptionCaptureCallback(null);
  assert.deepEqual([track.error, errors], ["", ["of the page", "of the page"]]);
});

/** The error of a track that can't be read. */
async function refuseTrack(bytes, ms = 0) {
  serve(bytes, true);
  const track = openTrack("film");
  await track.ready;
  track.want(ms, video);
  await until(() => track.error, "an error");
  assert.equal(track.at(ms), null);
  track.close();
  return track.error;
}

/** A track of one segment, in which `change` replaces values at these offsets. */
const lie = (change) => writeTrack([[0, nobody(0)], [1000, nobody(0)]], change);

for (const [what, bytes, expected] of [
  ["no segments", writeTrack([]), /1 to 65536 segments/],
  ["starts that don't rise", lie((head) => head.writeBigUInt64BE(0n, 40)), /a start after 0 ms/],
  ["a start that is no safe number", lie((head) => head.writeBigUInt64BE(2n ** 60n, 40)), /a start after 0 ms/],
  ["a segment within the index", lie((head) => head.writeBigUInt64BE(59n, 28)), /bytes from 60 on/],
  ["segments that overlap", lie((head) => head.writeBigUInt64BE(61n, 48)), /received \d+ from 61 on/],
  ["a segment without bytes", lie((head) => head.writeUInt32BE(0, 36)), /received 0 from/],
  ["a segment that is too long", lie((head) => head.writeUInt32BE(2 ** 25, 36)), /received 33554432 from/],
  ["a segment past the file's end", lie((head) => head.writeUInt32BE(5000, 56)), /a file of 5\d+ bytes/],
  ["an index past the file's end", lie((head) => head.writeUInt32BE(1000, 16)), /20020 bytes of index/],
  ["bytes that aren't compressed", writeTrack([[0, Buffer.from("not compressed")]]), /one whole compressed stream/],
  ["a stream that ends too early", writeTrack([[0, nobody(0).subarray(0, 8)]]), /one whole compressed stream/],
  ["a segment that inflates without end", writeTrack([[0, deflateSync(Buffer.alloc(2 ** 24 + 1))]]), /at most 16777216 bytes/],
  ["a segment of no masks", writeTrack([[0, deflateSync(Buffer.alloc(0))]]), /1 to 4096 masks/],
  ["a first mask that isn't at the start", writeTrack([[0, nobody(5)]]), /a first mask at 0 ms, received 5/],
  ["masks of one time", writeTrack([[0, nobody(0, 40, 0)]]), /a mask before 40 ms/],
  ["masks of the next segment's time", writeTrack([[0, nobody(0, 100)], [100, nobody(0)]]), /a mask before 100 ms, received 100/],
]) {
  test(`${what}: refused, in words`, async () => assert.match(await refuseTrack(bytes), expected));
}

test("what can't be read is never asked for again", async () => {
  const asked = serve(writeTrack([[0, nobody(5)]]), true);
  const track = openTrack("film");
  await track.ready;
  await watch(track, 300);
  assert.equal(asked.length, 2);
  assert.equal(warn.mock.callCount(), 1);
  track.close();
});

test("a segment that can't be read doesn't keep others from being shown", async () => {
  serve(writeTrack([[0, nobody(5)], [30_000, nobody(0)]]), true);
  const track = openTrack("film");
  await track.ready;
  track.want(0, video);
  await until(() => track.error, "an error");
  track.want(30_000, video);
  await until(() => track.at(30_000), "the other segment");
  assert.match(track.error, /a first mask/, "it is still said what is missing");
});

test("a part that comes short is asked for again, later", async () => {
  const bytes = long();
  const track = openTrack("film");
  globalThis.fetch = async () => new Response(bytes.subarray(0, 30), { status: 206, headers: { "Content-Range": `bytes 0-16383/${bytes.length}` } });
  const short = openTrack("film");
  await Promise.all([track.ready, short.ready]);
  assert.match(short.error, /expected \d+ bytes, received 30/);
  serve(bytes, true);
  short.want(0, video);
  await flush();
  assert.equal(short.at(0), null);
  advance(1500);
  short.want(0, video);
  await until(() => short.error === "" || short.at(100), "the track");
  assert.equal((await loadMask(short, 100)).pts, 100);
});

test("a network that is down is no refusal", async () => {
  globalThis.fetch = async () => {
    throw new TypeError("Failed to fetch");
  };
  const track = openTrack("film");
  await track.ready;
  assert.equal(track.error, "http://test/film: Failed to fetch");
  serve(long(), true);
  await watch(track, 2);
  assert.equal((await loadMask(track, 100)).pts, 100);
  assert.equal(track.error, "");
});

test("what is needed soon is loaded, sooner the faster it plays, and nothing else", async () => {
  for (const [rate, expected] of [[0.5, [0]], [1, [0]], [2, [0, 1]], [4, [0, 1, 2]]]) {
    const asked = serve(long(), true);
    const track = openTrack("film");
    await track.ready;
    track.want(4000, { ...video, playbackRate: rate });
    assert.equal(asked.length - 1, expected.length, `at rate ${rate}`);
    track.close();
  }
});

test("the next segment is loaded before it is needed, once", async () => {
  const asked = serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  await loadMask(track, 100);
  for (const ms of [6000, 6040, 6080]) track.want(ms, video);
  await until(() => track.at(10_100), "the next segment");
  assert.equal(asked.length, 3);
});

test("of many segments the first are dropped, and loaded again after a seek", async () => {
  const asked = serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  for (let number = 0; number < 9; number++) await loadMask(track, number * 10_000 + 100);
  assert.equal(track.at(100), null);
  assert.equal(track.at(10_100).pts, 10_100);
  const count = asked.length;
  await loadMask(track, 100);
  assert.equal(asked.length, count + 1);
});

test("an index that is longer than the first bytes is read whole", async () => {
  const bytes = writeTrack(Array.from({ length: 1000 }, (_, number) => [number * 100, nobody(0)]));
  const asked = serve(bytes, true);
  const track = openTrack("film");
  await track.ready;
  assert.deepEqual(asked, ["bytes=0-16383", "bytes=0-20019"]);
  assert.equal((await loadMask(track, 99_900)).pts, 99_900);
});

test("a source tells when index and masks are there", async () => {
  serve(long(), true);
  const track = openTrack("film");
  let changes = 0;
  track.onchange = () => (changes += 1);
  await track.ready;
  assert.equal(changes, 1);
  await loadMask(track, 100);
  assert.equal(changes, 2);
});

test("once it is closed what comes is dropped, and nothing is asked for", async () => {
  const asked = serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  const signals = [];
  globalThis.fetch = (_url, { signal }) => new Promise((_resolve, reject) => {
    signals.push(signal);
    signal.addEventListener("abort", () => reject(signal.reason));
  });
  track.want(100, video);
  track.close();
  await flush();
  assert.ok(signals[0].aborted);
  assert.equal(track.error, "");
  track.want(20_000, video);
  assert.equal(signals.length, 1);
  assert.equal(asked.length, 1);
});

test("addresses count from the page", async () => {
  const urls = [];
  globalThis.fetch = async (url) => (urls.push(String(url)), new Response(long()));
  await openTrack("masks/film.mattes").ready;
  await openTrack(new URL("http://elsewhere/film.mattes")).ready;
  assert.deepEqual(urls, ["http://test/masks/film.mattes", "http://elsewhere/film.mattes"]);
});

test("a webmask whose size the server doesn't tell is read up to its end", async () => {
  const picture = `<svg viewBox="0 0 32 18"><path d="M0 0h320v180h-320z${" ".repeat(20_000)}"/></svg>`;
  const body = Buffer.from(`data:image/svg+xml;base64,${btoa(picture)}`);
  const record = Buffer.alloc(12 + body.length);
  record.writeInt32BE(body.length);
  body.copy(record, 12);
  const head = Buffer.alloc(32);
  head.write("MASK");
  head.writeInt32BE(1, 4);
  head[8] = 2;
  head.writeInt32BE(1, 12);
  head.writeBigInt64BE(32n, 24);
  const bytes = Buffer.concat([head, gzipSync(record, { level: 0 })]);
  const asked = [];
  globalThis.fetch = async (_url, { headers }) => {
    asked.push(headers.Range);
    const [first, last = bytes.length] = headers.Range.match(/\d+/g).map(Number);
    return new Response(bytes.subarray(first, last + 1), { status: 206 });
  };
  const track = openTrack("film.webmask");
  await track.ready;
  assert.deepEqual((await loadMask(track, 0)).shape.outline.rings, []);
  assert.deepEqual(asked, ["bytes=0-16383", "bytes=32-"]);
});

test("a short track on another origin is read, though its size is kept secret", async () => {
  const bytes = long();
  globalThis.fetch = async (_url, { headers }) => {
    const [first, last] = headers.Range.match(/\d+/g).map(Number);
    return new Response(bytes.subarray(first, last + 1), { status: 206 });
  };
  const track = openTrack("film");
  await track.ready;
  assert.equal(track.error, "");
  assert.equal((await loadMask(track, 100)).pts, 100);
  assert.equal((await loadMask(track, 110_100)).pts, 110_100);
});
