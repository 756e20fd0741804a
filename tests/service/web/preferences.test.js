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

test("comments are behind people, wholly and without a margin, until somebody chooses otherwise", () => {
  assert.deepEqual(read(new Preferences()), { on: true, margin: 0, strength: 1 });
  assert.deepEqual(read(new Preferences({ margin: 0.01 })), { on: true, margin: 0.01, strength: 1 });
});

test("a choice is told once, and the same choice again isn't", () => {
  const preferences = new Preferences();
  let changes = 0;
  preferences.addEventListener("change", () => (changes += 1));
  preferences.set({ on: false });
  preferences.set({ on: false });
  assert.deepEqual([changes, preferences.on], [1, false]);
});

test("what is out of range becomes the nearest in it, what is no number the usual", () => {
  const preferences = new Preferences();
  preferences.set({ margin: 9, strength: -1 });
  assert.deepEqual(read(preferences), { on: true, margin: 0.05, strength: 0 });
  preferences.set({ margin: NaN, strength: Infinity });
  assert.deepEqual(read(preferences), { on: true, margin: 0, strength: 1 });
});

test("a choice is remembered under its key, and stronger than the publisher's beginning", () => {
  const key = nextKey();
  openPreferences({ margin: 0.02 }, key).set({ strength: 0.5 });
  const later = new Preferences({ margin: 0.03, strength: 1 }, key);
  assert.deepEqual(read(later), { on: true, margin: 0.02, strength: 0.5 });
});

test("all players of a page share what is remembered", () => {
  const key = nextKey();
  assert.equal(openPreferences({}, key), openPreferences({ on: false }, key));
});

test("a browser that forbids storage, or holds nonsense, has choices all the same", () => {
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

test("preferences without a key are remembered nowhere", () => {
  new Preferences().set({ on: false });
  assert.equal(localStorage.items.size, 0);
});

test("a choice in another tab counts here", () => {
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
