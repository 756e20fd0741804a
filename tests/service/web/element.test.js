import assert from "node:assert/strict";
import { test } from "node:test";

import { advance, FakeHtmlElement, FakeVideo, flush, installBrowser } from "./fakes.js";

installBrowser();
globalThis.fetch = () => new Promise(() => {});
globalThis.CSSStyleSheet = class {
  replaceSync() {}
};
FakeHtmlElement.prototype.attachShadow = function () {
  return (this.shadowRoot = new FakeHtmlElement("root"));
};
const found = new Map(); // by id
FakeHtmlElement.prototype.getRootNode = () => ({ getElementById: (id) => found.get(id) ?? null });
FakeHtmlElement.prototype.querySelector = function (selector) {
  return this.descendants().find((element) => element !== this && element.tag === selector) ?? null;
};
const { DanmatteLayer } = await import("../../../service/danmatte/web/element.js");

/** A layer with these attributes, inside a player. */
function addLayer(attributes, video = new FakeVideo({ readyState: 1 })) {
  const [player, inner, layer] = [new FakeHtmlElement(), new FakeHtmlElement(), new DanmatteLayer()];
  if (video) player.append(video);
  player.append(inner);
  inner.append(layer);
  for (const [name, value] of Object.entries(attributes)) layer.setAttribute(name, value);
  layer.connectedCallback();
  return { player, layer, video };
}

test("the element attaches to the nearest video and detaches when removed", () => {
  const { layer, video } = addLayer({ track: "film.mattes" });
  assert.ok(layer.handle);
  assert.equal(layer.style.filter, "opacity(0.3)");
  layer.disconnectedCallback();
  assert.deepEqual([layer.handle, layer.style.filter, video.watched], [null, "", false]);
});

test("the attribute for names a video or a player that contains it", () => {
  const [named, player] = [new FakeVideo({ readyState: 1 }), new FakeHtmlElement()];
  found.set("film", named);
  player.append(new FakeVideo({ readyState: 1 }));
  found.set("player", player);
  for (const id of ["film", "player"]) {
    const { layer } = addLayer({ track: "film.mattes", for: id }, null);
    assert.ok(layer.handle, id);
    layer.disconnectedCallback();
  }
});

test("a video that is added or replaced later is found", () => {
  const { player, layer } = addLayer({ track: "film.mattes" }, null);
  assert.equal(layer.handle, null);
  const video = new FakeVideo({ readyState: 1 });
  player.append(video);
  advance(500);
  const { handle: first } = layer;
  assert.ok(first);
  video.isConnected = false;
  video.remove();
  player.append(new FakeVideo({ readyState: 1 }));
  advance(500);
  assert.notEqual(layer.handle, first);
  layer.disconnectedCallback();
});

test("attributes that change together attach again once", async () => {
  const { layer } = addLayer({ track: "one.mattes" });
  const { handle: first } = layer;
  layer.setAttribute("track", "two.mattes");
  layer.setAttribute("late", "hide");
  layer.attributeChangedCallback();
  layer.attributeChangedCallback();
  await flush();
  assert.notEqual(layer.handle, first);
  assert.equal(layer.style.filter, "opacity(0)");
  layer.disconnectedCallback();
});

test("preferences are read from attributes, and without masks nothing is attached", () => {
  const plain = addLayer({});
  assert.equal(plain.layer.handle, null);
  const { layer } = addLayer({ track: "film.mattes", margin: "0.02", off: "" });
  assert.deepEqual([layer.handle.preferences.on, layer.handle.preferences.margin, layer.handle.preferences.strength], [false, 0.02, 1]);
  for (const one of [plain.layer, layer]) one.disconnectedCallback();
});

test("the attribute value false counts as absent", () => {
  const [plain, { layer }] = [addLayer({ track: "film.mattes" }), addLayer({ track: "film.mattes", off: "false", remember: "false" })];
  assert.deepEqual([layer.handle.preferences.on, layer.handle.preferences === plain.layer.handle.preferences], [true, false]);
  const { layer: live } = addLayer({ live: "true" });
  assert.match(live.handle.source.constructor.name, /Live/);
  const { layer: none } = addLayer({ live: "false" });
  assert.equal(none.handle, null);
  for (const one of [plain.layer, layer, live, none]) one.disconnectedCallback();
});

test("moving to a new document adopts the style sheet again", () => {
  const { layer } = addLayer({ track: "film.mattes" });
  const [first] = layer.shadowRoot.adoptedStyleSheets;
  layer.disconnectedCallback();
  layer.shadowRoot.adoptedStyleSheets = []; // as browsers do
  layer.connectedCallback();
  assert.equal(layer.shadowRoot.adoptedStyleSheets.length, 1);
  assert.notEqual(layer.shadowRoot.adoptedStyleSheets[0], first);
  layer.disconnectedCallback();
});

test("an error of the masks is dispatched as an event", async () => {
  const { layer } = addLayer({ track: "film.mattes" });
  const errors = [];
  layer.addEventListener("danmatte-error", ({ detail }) => errors.push(detail));
  layer.handle.source.error = "no such track";
  layer.handle.source.onchange();
  assert.deepEqual(errors, ["no such track"]);
  layer.disconnectedCallback();
});
