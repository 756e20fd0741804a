import assert from "node:assert/strict";
import { test } from "node:test";

import { difference } from "../../../service/danmatte/web/cuts.js";

const stamp = (grey) => Uint8ClampedArray.from({ length: 16 * 9 * 4 }, () => grey);

test("a picture differs from itself by nothing and from its negative by all", () => {
  assert.equal(difference(stamp(90), stamp(90)), 0);
  assert.equal(difference(stamp(0), stamp(255)), 255);
});
