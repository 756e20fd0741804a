import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { FakeStorage, installBrowser } from "./fakes.js";

installBrowser();
const { openPreferences, Preferences } = await import("../../../service/danmatte/web/preferences.js");

beforeEach(() => {
  globalThis.localStorage = new FakeStorage();
});

const read = ({ on, margin, strength }) => ({ on, margin, strength });
let number = 0;
const nextKey = () => `test-${++number}`;

test("by default comments are completely behind people without a margin", () => {
  assert.deepEqual(read(new Preferences()), { on: true, margin: 0, strength: 1 });
  assert.deepEqual(read(new Preferences({ margin: 0.01 })), { on: true, margin: 0.01, strength: 1 });
});

test("a change is reported once, and setting the same value isn't", () => {
  const preferences = new Preferences();
  let changes = 0;
  preferences.addEventListener("change", () => (changes += 1));
  preferences.set({ on: false });
  preferences.set({ on: false });
  assert.deepEqual([changes, preferences.on], [1, false]);
});

test("values out of range are clamped, and invalid ones become the default", () => {
  const preferences = new Preferences();
  preferences.set({ margin: 9, strength: -1 });
  assert.deepEqual(read(preferences), { on: true, margin: 0.05, strength: 0 });
  preferences.set({ margin: NaN, strength: Infinity });
  assert.deepEqual(read(preferences), { on: true, margin: 0, strength: 1 });
});

test("a stored choice overrides the publisher's defaults", () => {
  const key = nextKey();
  openPreferences({ margin: 0.02 }, key).set({ strength: 0.5 });
  const later = new Preferences({ margin: 0.03, strength: 1 }, key);
  assert.deepEqual(read(later), { on: true, margin: 0.02, strength: 0.5 });
});

test("players with the same key share their preferences", () => {
  const key = nextKey();
  assert.equal(openPreferences({}, key), openPreferences({ on: false }, key));
});

test("preferences work without storage and with invalid stored values", () => {
  localStorage.refuses = true;
  const preferences = openPreferences({}, nextKey());
  preferences.set({ on: false });
  assert.equal(preferences.on, false);
  localStorage.refuses = false;
  for (const nonsense of ["{", "null", "7", '{"on":"no","margin":"wide","strength":null,"more":1}']) {
    const key = nextKey();
    localStorage.setItem(key, nonsense);
    assert.deepEqual(read(new Preferences({}, key)), { on: true, margin: 0, strength: 1 }, nonsense);
  }
});

test("preferences without a key aren't stored", () => {
  new Preferences().set({ on: false });
  assert.equal(localStorage.items.size, 0);
});

test("a choice in a different tab is applied", () => {
  const listeners = [];
  globalThis.addEventListener = (name, listener) => listeners.push([name, listener]);
  const key = nextKey();
  const preferences = new Preferences({}, key);
  localStorage.setItem(key, '{"on":false}');
  for (const [name, listener] of listeners) if (name === "storage") listener({ key: "other" });
  assert.equal(preferences.on, true);
  for (const [name, listener] of listeners) if (name === "storage") listener({ key });
  assert.equal(preferences.on, false);
  delete globalThis.addEventListener;
});
