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
  const requests = [];
  globalThis.fetch = async (_url, { headers }) => {
    requests.push(headers.Range);
    if (!ranges) return new Response(bytes);
    const [first, last] = headers.Range.match(/\d+/g).map(Number);
    const part = bytes.subarray(first, last + 1);
    return new Response(part, { status: 206, headers: { "Content-Range": `bytes ${first}-${last}/${bytes.length}` } });
  };
  return requests;
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
      const requests = serve(readFileSync(path), ranges);
      const track = openTrack("film");
      await track.ready;
      for (const { ms, pts, cut, held, coverage } of expected) {
        const mask = await loadMask(track, ms);
        assert.equal(mask.pts, pts);
        if (cut !== undefined) assert.deepEqual([mask.cut, mask.held], [cut, held]);
        assert.ok(Math.abs(measureShare(mask.shape.outline) - coverage) < 0.01, `${measureShare(mask.shape.outline)} at ${ms}`);
      }
      if (!ranges) assert.equal(requests.length, 1);
      track.close();
    });
  }
}

/** A track of these segments, each a start in ms and its compressed bytes; `damage` may change head and index. */
function writeTrack(segments, damage = () => {}) {
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
  damage(head);
  return Buffer.concat([head, ...segments.map(([, packed]) => packed)]);
}

const packEmpty = (...times) => deflateSync(Uint8Array.from(times.flatMap((later) => [later, 1, 0, 0])));

/** 12 segments of 10 seconds each, the first from 100 ms on; all masks are empty. */
const long = () => writeTrack(Array.from({ length: 12 }, (_, number) => [number * 10_000 + 100, packEmpty(0)]));

test("loading the beginning of a loop doesn't evict the shown segment", async () => {
  const requests = serve(long(), true);
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
  assert.equal(requests.length, 1 + 12 + 1);
});

test("the shown segment isn't evicted although it was loaded first", async () => {
  serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  for (const number of [11, 1, 2, 3, 4, 5, 6, 7]) await loadMask(track, number * 10_000 + 100);
  track.want(119_000, { playbackRate: 1, duration: 120, loop: true });
  await until(() => track.at(100), "the loop's beginning");
  assert.equal(track.at(119_000).pts, 110_100);
  assert.equal(track.at(10_100), null, "the oldest segment that isn't needed is evicted");
});

test("no mask is found before the first one", async () => {
  serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  assert.equal((await loadMask(track, 100)).pts, 100);
  assert.deepEqual([0, 50, 91].map((ms) => track.at(ms)), [null, null, null]);
  assert.equal(track.at(92).pts, 100, "times are rounded in transfer");
});

test("covers() is false before the first mask and after the last known one", async () => {
  serve(long(), true);
  const track = openTrack("film");
  assert.ok(track.covers(0), "not known yet");
  await track.ready;
  assert.deepEqual([0, 91, 92, 50_000, 500_000].map((ms) => track.covers(ms)), [false, false, true, true, true]);
  await loadMask(track, 110_100);
  assert.deepEqual([119_900, 120_100, 120_101, 500_000].map((ms) => track.covers(ms)), [true, true, false, false]);
});

test("no mask is found long after the last one", async () => {
  serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  await loadMask(track, 110_100);
  assert.equal(track.at(119_900).pts, 110_100);
  assert.equal(track.at(121_000), null);
  assert.equal((await loadMask(track, 100)).pts, 100);
});

/** Responds with these statuses one after another, then always with the last. Returns a list with an entry for each request. */
function respond(...statuses) {
  const requests = [];
  globalThis.fetch = async () => new Response("", { status: statuses[Math.min(requests.push(0), statuses.length) - 1] });
  return requests;
}

/** Simulates a viewer who watches for some seconds, on a separate clock. */
async function watch(track, seconds) {
  for (let at = 0; at < seconds * 10; at++) {
    advance(100);
    track.want(0, video);
    await flush();
  }
}

test("a request that the server rejects permanently isn't repeated", async () => {
  for (const status of [404, 403, 410, 416]) {
    const requests = respond(status);
    const track = openTrack("film");
    await track.ready;
    await watch(track, 300);
    assert.equal(requests.length, 1);
    assert.match(track.error, new RegExp(`received ${status}`));
  }
});

test("a temporary failure is retried with increasing pauses", async () => {
  for (const status of [503, 429]) {
    const requests = respond(status);
    const track = openTrack("film");
    await track.ready;
    await watch(track, 10);
    assert.ok(requests.length >= 3 && requests.length <= 4, `${requests.length}`);
    await watch(track, 290);
    assert.ok(requests.length >= 8 && requests.length <= 11, `${requests.length}`);
    serve(long(), true);
    await watch(track, 61);
    await until(() => track.error === "", "the track");
    track.close();
  }
});

for (const { path, good, startMs } of JSON.parse(process.env.DAMAGED ?? "[]")) {
  test(`${path} is ${good ? "read" : "rejected"}`, async () => {
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

test("a track that is replaced while it is read is opened again", async () => {
  const [old, other] = [long(), writeTrack([[50, packEmpty(0)], [20_000, packEmpty(0)]])];
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

test("a broken segment with changing ETags is requested at most once a minute", async () => {
  const bytes = writeTrack([[0, Buffer.alloc(20)]]);
  let requests = 0;
  serveStamped(() => [bytes, `"${requests++}"`]);
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
  assert.equal(requests, 2);
  track.close();
});

test("ETags that differ between responses don't open the track again", async () => {
  const bytes = long();
  let requests = 0;
  serveStamped(() => [bytes, `"${requests++}"`]);
  const track = openTrack("film");
  await track.ready;
  for (const ms of [100, 30_100, 60_100]) await loadMask(track, ms);
  assert.deepEqual([requests, track.error], [4, ""]);
  track.close();
});

test("a file that isn't a track is rejected", async () => {
  serve(new Uint8Array(64), true);
  const track = openTrack("film");
  await track.ready;
  assert.match(track.error, /expected a mask track, received something else/);
  assert.equal(track.at(0), null);
});

test("an HTML page instead of a track is reported as text/html", async () => {
  const headers = { "Content-Type": "text/html" };
  globalThis.fetch = async () => new Response("<!doctype html><title>Everything is here</title>", { headers });
  const track = openTrack("film");
  await track.ready;
  assert.equal(track.error, "http://test/film: expected a mask track, received text/html");
});

test("a server that doesn't respond is reported and retried", async () => {
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

test("an error in the page's callback isn't an error of the track", async () => {
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
const damage = (change) => writeTrack([[0, packEmpty(0)], [1000, packEmpty(0)]], change);

for (const [what, bytes, expected] of [
  ["no segments", writeTrack([]), /1 to 65536 segments/],
  ["starts that don't rise", damage((head) => head.writeBigUInt64BE(0n, 40)), /a start after 0 ms/],
  ["a start that is no safe number", damage((head) => head.writeBigUInt64BE(2n ** 60n, 40)), /a start after 0 ms/],
  ["a segment within the index", damage((head) => head.writeBigUInt64BE(59n, 28)), /bytes from 60 on/],
  ["segments that overlap", damage((head) => head.writeBigUInt64BE(61n, 48)), /received \d+ from 61 on/],
  ["a segment without bytes", damage((head) => head.writeUInt32BE(0, 36)), /received 0 from/],
  ["a segment that is too long", damage((head) => head.writeUInt32BE(2 ** 25, 36)), /received 33554432 from/],
  ["a segment past the file's end", damage((head) => head.writeUInt32BE(5000, 56)), /a file of 5\d+ bytes/],
  ["an index past the file's end", damage((head) => head.writeUInt32BE(1000, 16)), /20020 bytes of index/],
  ["bytes that aren't compressed", writeTrack([[0, Buffer.from("not compressed")]]), /one whole compressed stream/],
  ["a stream that ends too early", writeTrack([[0, packEmpty(0).subarray(0, 8)]]), /one whole compressed stream/],
  ["a segment that inflates without end", writeTrack([[0, deflateSync(Buffer.alloc(2 ** 24 + 1))]]), /at most 16777216 bytes/],
  ["a segment of no masks", writeTrack([[0, deflateSync(Buffer.alloc(0))]]), /1 to 4096 masks/],
  ["a first mask that isn't at the start", writeTrack([[0, packEmpty(5)]]), /a first mask at 0 ms, received 5/],
  ["masks of one time", writeTrack([[0, packEmpty(0, 40, 0)]]), /a mask before 40 ms/],
  ["masks of the next segment's time", writeTrack([[0, packEmpty(0, 100)], [100, packEmpty(0)]]), /a mask before 100 ms, received 100/],
]) {
  test(`${what}: rejected with a reason`, async () => assert.match(await refuseTrack(bytes), expected));
}

test("an unreadable segment isn't requested again", async () => {
  const requests = serve(writeTrack([[0, packEmpty(5)]]), true);
  const track = openTrack("film");
  await track.ready;
  await watch(track, 300);
  assert.equal(requests.length, 2);
  assert.equal(warn.mock.callCount(), 1);
  track.close();
});

test("an unreadable segment doesn't affect other segments", async () => {
  serve(writeTrack([[0, packEmpty(5)], [30_000, packEmpty(0)]]), true);
  const track = openTrack("film");
  await track.ready;
  track.want(0, video);
  await until(() => track.error, "an error");
  track.want(30_000, video);
  await until(() => track.at(30_000), "the other segment");
  assert.match(track.error, /a first mask/, "the missing segment is still reported");
});

test("an incomplete response is requested again later", async () => {
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

test("a network failure is retried", async () => {
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

test("segments are loaded ahead depending on the playback rate", async () => {
  for (const [rate, expected] of [[0.5, [0]], [1, [0]], [2, [0, 1]], [4, [0, 1, 2]]]) {
    const requests = serve(long(), true);
    const track = openTrack("film");
    await track.ready;
    track.want(4000, { ...video, playbackRate: rate });
    assert.equal(requests.length - 1, expected.length, `at rate ${rate}`);
    track.close();
  }
});

test("the next segment is loaded once before it is needed", async () => {
  const requests = serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  await loadMask(track, 100);
  for (const ms of [6000, 6040, 6080]) track.want(ms, video);
  await until(() => track.at(10_100), "the next segment");
  assert.equal(requests.length, 3);
});

test("the oldest segments are evicted and loaded again after a seek", async () => {
  const requests = serve(long(), true);
  const track = openTrack("film");
  await track.ready;
  for (let number = 0; number < 9; number++) await loadMask(track, number * 10_000 + 100);
  assert.equal(track.at(100), null);
  assert.equal(track.at(10_100).pts, 10_100);
  const count = requests.length;
  await loadMask(track, 100);
  assert.equal(requests.length, count + 1);
});

test("an index longer than the first request is read completely", async () => {
  const bytes = writeTrack(Array.from({ length: 1000 }, (_, number) => [number * 100, packEmpty(0)]));
  const requests = serve(bytes, true);
  const track = openTrack("film");
  await track.ready;
  assert.deepEqual(requests, ["bytes=0-16383", "bytes=0-20019"]);
  assert.equal((await loadMask(track, 99_900)).pts, 99_900);
});

test("loading the index and masks is reported to onchange", async () => {
  serve(long(), true);
  const track = openTrack("film");
  let changes = 0;
  track.onchange = () => (changes += 1);
  await track.ready;
  assert.equal(changes, 1);
  await loadMask(track, 100);
  assert.equal(changes, 2);
});

test("closing cancels requests and sends no more", async () => {
  const requests = serve(long(), true);
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
  assert.equal(requests.length, 1);
});

test("addresses are relative to the page", async () => {
  const urls = [];
  globalThis.fetch = async (url) => (urls.push(String(url)), new Response(long()));
  await openTrack("masks/film.mattes").ready;
  await openTrack(new URL("http://elsewhere/film.mattes")).ready;
  assert.deepEqual(urls, ["http://test/masks/film.mattes", "http://elsewhere/film.mattes"]);
});

test("a webmask of unknown size is read to its end", async () => {
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
  const requests = [];
  globalThis.fetch = async (_url, { headers }) => {
    requests.push(headers.Range);
    const [first, last = bytes.length] = headers.Range.match(/\d+/g).map(Number);
    return new Response(bytes.subarray(first, last + 1), { status: 206 });
  };
  const track = openTrack("film.webmask");
  await track.ready;
  assert.deepEqual((await loadMask(track, 0)).shape.outline.rings, []);
  assert.deepEqual(requests, ["bytes=0-16383", "bytes=32-"]);
});

test("a short track on a different origin is read although its size is hidden", async () => {
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
