import assert from "node:assert/strict";
import { test } from "node:test";

import { installBrowser } from "./fakes.js";

const document = installBrowser();
document.documentElement = { lang: "" };
const { createControls, findLabels, followPreferences, SLIDERS } = await import("../../../service/danmatte/web/controls.js");
const { Preferences } = await import("../../../service/danmatte/web/preferences.js");

/** Controls for new preferences, and their inputs. */
function make(choices = {}) {
  const preferences = new Preferences(choices);
  const group = createControls(preferences, findLabels("en"));
  const [toggle, margin, strength] = group.all("input");
  return { preferences, group, toggle, margin, strength };
}

test("a switch and two sliders show the preferences with accessible names and values", () => {
  const { group, toggle, margin, strength } = make({ margin: 0.015, strength: 0.6 });
  assert.deepEqual([toggle.checked, margin.value, strength.value], [true, "1.5", "60"]);
  assert.deepEqual([toggle.getAttribute("role"), toggle.getAttribute("type")], ["switch", "checkbox"]);
  assert.deepEqual([margin.getAttribute("aria-valuetext"), strength.getAttribute("aria-valuetext")], ["1.5 %", "60 %"]);
  assert.equal(group.getAttribute("aria-label"), "Comments behind people");
  assert.deepEqual(group.all("label").map(({ textContent }) => textContent), ["Comments behind people", "Distance", "Strength"]);
});

test("using a control changes the preference", () => {
  const { preferences, toggle, margin, strength } = make();
  margin.value = "2";
  margin.emit("input");
  strength.value = "35";
  strength.emit("input");
  toggle.checked = false;
  toggle.emit("change");
  assert.deepEqual([preferences.on, preferences.margin, preferences.strength], [false, 0.02, 0.35]);
  assert.deepEqual([margin.disabled, strength.disabled], [true, true], "sliders are disabled while masks are off");
});

test("a preference changed elsewhere updates the controls", () => {
  const { preferences, toggle, margin } = make();
  preferences.set({ on: false, margin: 0.05 });
  assert.deepEqual([toggle.checked, margin.value], [false, "5"]);
});

test("keys that move a slider don't reach the player, but others do", () => {
  const { group } = make();
  for (const [key, reaches] of [["ArrowLeft", false], [" ", false], ["Home", false], ["Tab", true], ["f", true]]) {
    let stopped = false;
    group.emit("keydown", { key, stopPropagation: () => (stopped = true) });
    assert.equal(!stopped, reaches, key);
  }
});

test("labels are in the page's language or the given one", () => {
  assert.equal(findLabels("zh-CN").title, "弹幕防挡人物");
  assert.equal(findLabels("ja").margin, "間隔");
  assert.equal(findLabels("tlh").strength, "Strength");
  document.documentElement.lang = "zh";
  assert.equal(findLabels().strength, "强度");
  document.documentElement.lang = "";
});

test("the maximum of a slider is that of its preference", () => {
  assert.deepEqual(SLIDERS.map(({ name, most }) => [name, most]), [["margin", 5], ["strength", 100]]);
});

test("several callbacks can follow the preferences of one element", () => {
  const preferences = new Preferences();
  const element = document.createElement("div");
  const calls = [];
  for (const name of ["one", "two"]) followPreferences(preferences, element, () => calls.push(name));
  preferences.set({ on: false });
  assert.deepEqual(new Set(calls), new Set(["one", "two"]));
});
