import assert from "node:assert/strict";
import { test } from "node:test";

import { installBrowser } from "./fakes.js";

installBrowser();
const { CutDetector } = await import("../../../service/danmatte/web/cuts.js");

/** A detector that got frames of these grey levels, 40 ms apart. */
function watch(greys, step = 40) {
  const cuts = new CutDetector();
  greys.forEach((grey, number) => cuts.addFrame({ grey }, number * step));
  return cuts;
}

test("a complete change of the picture is a cut", () => {
  const cuts = watch([20, 20, 200, 200]);
  assert.ok(cuts.hasCut(40, 80));
  assert.ok(cuts.hasCut(0, 200));
});

test("a cut lies between the last frame of a scene and the first of the next", () => {
  const cuts = watch([20, 20, 200, 200]);
  assert.ok(!cuts.hasCut(0, 79));
  assert.ok(!cuts.hasCut(80, 120));
});

test("a change below the limit isn't a cut", () => {
  assert.ok(!watch([100, 138, 100]).hasCut(-1, 1000));
  assert.ok(watch([100, 139, 100]).hasCut(-1, 1000));
});

test("a change of opacity alone isn't a cut", () => {
  const cuts = new CutDetector();
  cuts.addFrame({ grey: 90, alpha: 0 }, 0);
  cuts.addFrame({ grey: 90, alpha: 255 }, 40);
  assert.ok(!cuts.hasCut(-1, 40));
});

test("frames that are far apart or in the wrong order aren't compared", () => {
  assert.ok(!watch([20, 200], 500).hasCut(-1, 1000));
  const backwards = new CutDetector();
  backwards.addFrame({ grey: 20 }, 1000);
  backwards.addFrame({ grey: 200 }, 960);
  assert.ok(!backwards.hasCut(0, 2000));
});

test("a cut seen again after a seek is stored once", () => {
  const cuts = watch([20, 200]);
  for (const [grey, ms] of [[20, 0], [200, 40], [20, 0], [200, 40]]) cuts.addFrame({ grey }, ms);
  assert.ok(cuts.hasCut(0, 40));
  assert.ok(!cuts.hasCut(40, 1000));
});

test("a cut seen many times doesn't evict others", () => {
  const cuts = watch([20, 200, 200, 20]);
  for (let times = 0; times < 2001; times++) {
    cuts.addFrame({ grey: 200 }, 80);
    cuts.addFrame({ grey: 20 }, 120);
  }
  assert.ok(cuts.hasCut(0, 40));
});

test("the oldest cuts are evicted beyond the limit", () => {
  const cuts = watch(Array.from({ length: 2003 }, (_, number) => (number % 2 ? 255 : 0)));
  assert.ok(!cuts.hasCut(0, 40));
  assert.ok(cuts.hasCut(40, 120));
  assert.ok(cuts.hasCut(2001 * 40, 2002 * 40));
});

test("a video that can't be read throws, and is compared again once readable", () => {
  const cuts = watch([20]);
  assert.throws(() => cuts.addFrame({ grey: 20, tainted: true }, 40), { name: "SecurityError" });
  cuts.addFrame({ grey: 200 }, 80);
  assert.ok(cuts.hasCut(0, 80));
});
