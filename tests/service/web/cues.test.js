import assert from "node:assert/strict";
import { test } from "node:test";

import { openCues } from "../../../service/danmatte/web/cues.js";

const payload = (facts = {}) => JSON.stringify({ width: 32, height: 18, mask: "", ...facts });

/** A text track like a browser's. */
class FakeTrack extends EventTarget {
  mode = "disabled";
  cues;

  constructor(...cues) {
    super();
    this.cues = cues.map(([startTime, endTime, text]) => ({ startTime, endTime, text }));
  }
}

test("the mask of a frame is the newest cue that hasn't ended", () => {
  const source = openCues(new FakeTrack([1, 1.04, payload({ coverage: 0.1 })], [1.04, 1.08, payload({ coverage: 0.2, cut: true })], [3, 4, payload()]));
  assert.equal(source.at(980), null);
  assert.deepEqual([source.at(1000).pts, source.at(1000).coverage], [1000, 0.1]);
  assert.deepEqual([source.at(1045).pts, source.at(1045).cut], [1040, true]);
  assert.equal(source.at(1033).pts, 1040, "times are rounded on the way");
  assert.equal(source.at(2000), null);
  assert.equal(source.at(3500).pts, 3000);
});

test("a text track is loaded hidden, and again after a player disabled it", () => {
  const track = new FakeTrack();
  const source = openCues(track);
  assert.equal(track.mode, "hidden");
  track.mode = "disabled";
  source.want(0, {});
  assert.equal(track.mode, "hidden");
  track.mode = "showing";
  openCues(track);
  assert.equal(track.mode, "showing", "a visible track stays visible");
});

test("a text track that is added or replaced later is found", () => {
  const [first, second] = [new FakeTrack([0, 1, payload({ coverage: 0.1 })]), new FakeTrack([0, 1, payload({ coverage: 0.2 })])];
  const video = { textTracks: [] };
  const source = openCues(({ textTracks }) => textTracks[0]);
  source.want(0, video);
  assert.equal(source.at(0), null);
  video.textTracks = [first];
  source.want(0, video);
  assert.deepEqual([first.mode, source.at(0).coverage], ["hidden", 0.1]);
  video.textTracks = [second];
  source.want(0, video);
  assert.equal(source.at(0).coverage, 0.2);
});

test("a cue is parsed once, and new cues are reported until closed", () => {
  const track = new FakeTrack([0, 1, payload()]);
  const source = openCues(track);
  let changes = 0;
  source.onchange = () => (changes += 1);
  assert.equal(source.at(0), source.at(500));
  track.dispatchEvent(new Event("cuechange"));
  source.close();
  track.dispatchEvent(new Event("cuechange"));
  assert.equal(changes, 1);
});

test("a text track that failed to load is reported until it is replaced", () => {
  const [track, other] = [new FakeTrack(), new FakeTrack()];
  const source = openCues((video) => video.now);
  const elements = [{ track: other, readyState: 2, src: "b.vtt" }, { track, readyState: 3, src: "http://test/a.vtt" }];
  const video = { now: track, querySelectorAll: () => elements };
  source.want(0, video);
  assert.equal(source.error, "http://test/a.vtt: the browser couldn't load it as a text track");
  video.now = other;
  source.want(0, video);
  assert.equal(source.error, "");
});

test("subtitles are reported as an error, and missing cues give no mask", () => {
  const track = new FakeTrack([0, 1, "Good morning"]);
  const source = openCues(track);
  assert.equal(source.at(500), null);
  assert.match(source.error, /a cue at 0 s: expected a cue as JSON/);
  track.cues = null;
  assert.equal(source.at(500), null);
});
