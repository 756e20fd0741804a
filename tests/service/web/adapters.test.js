import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeElement, FakeVideo, installBrowser } from "./fakes.js";

installBrowser();
const { artplayerPluginDanmatte } = await import("../../../service/danmatte/web/adapters/artplayer.js");
const { attachDPlayer } = await import("../../../service/danmatte/web/adapters/dplayer.js");
const { attachNPlayer } = await import("../../../service/danmatte/web/adapters/nplayer.js");
const { attachVideoJs } = await import("../../../service/danmatte/web/adapters/videojs.js");
const { attachXgplayer } = await import("../../../service/danmatte/web/adapters/xgplayer.js");
const { behind } = await import("../../../service/danmatte/web/adapters/danmaku.js");
const { Attachment } = await import("../../../service/danmatte/web/danmatte.js");

/** Masks of one person, at every time. */
function makeSource() {
  const outline = { width: 2, height: 2, rings: [Float32Array.of(0, 0, 1, 0, 1, 1)] };
  return { at: (ms) => ({ pts: ms, cut: false, held: false, coverage: 0.5, shape: { outline } }), want() {}, close() {}, onchange() {} };
}

const video = () => new FakeVideo({ readyState: 2, currentTime: 1 });

/** The part of the library's engine that the adapter uses; `destroy` is a method of its class, as in the library. */
class Danmaku {
  destroyed = 0;

  constructor() {
    this.container = new FakeElement();
    this.media = video();
    this.container.append(this.media, new FakeElement("stage"));
  }

  destroy() {
    this.destroyed += 1;
    return this;
  }
}

/** The part of ArtPlayer that the plugin uses. */
class Artplayer extends EventTarget {
  template = { $video: video(), $danmuku: new FakeElement() };

  on(name, listener) {
    this.addEventListener(name, listener);
  }
}

test("the adapter for danmaku clips the element with the comments", () => {
  const danmaku = new Danmaku();
  const handle = behind(danmaku, { source: makeSource() });
  const [media, stage] = danmaku.container.children;
  assert.ok(handle instanceof Attachment);
  assert.match(stage.style.clipPath, /^path/);
  assert.equal(media.style.clipPath, "");
  handle.detach();
});

test("destroying danmaku removes the clip path", () => {
  const danmaku = new Danmaku();
  behind(danmaku, { source: makeSource() });
  const { lastElementChild: stage } = danmaku.container;
  assert.equal(danmaku.destroy(), danmaku, "the library's return value is returned");
  assert.equal(danmaku.destroyed, 1);
  assert.equal(stage.style.clipPath, "");
});

test("danmaku can be destroyed twice", () => {
  const danmaku = new Danmaku();
  behind(danmaku, { source: makeSource() });
  danmaku.destroy();
  danmaku.destroy();
  assert.equal(danmaku.destroyed, 2);
  assert.equal(danmaku.destroy, Danmaku.prototype.destroy);
});

test("the named plugin for ArtPlayer clips the layer of comments until the player is destroyed", () => {
  const art = new Artplayer();
  const plugin = artplayerPluginDanmatte({ source: makeSource() })(art);
  assert.equal(plugin.name, "artplayerPluginDanmatte");
  assert.match(art.template.$danmuku.style.clipPath, /^path/);
  art.dispatchEvent(new Event("destroy"));
  assert.equal(art.template.$danmuku.style.clipPath, "");
});

test("ArtPlayer's masks can be replaced and are removed when the player is destroyed", () => {
  const art = new Artplayer();
  const plugin = artplayerPluginDanmatte({ source: makeSource() })(art);
  const [first, second] = [plugin.handle.source, makeSource()];
  plugin.use({ source: second });
  assert.notEqual(plugin.handle.source, first);
  assert.match(art.template.$danmuku.style.clipPath, /^path/);
  art.dispatchEvent(new Event("destroy"));
  assert.equal(art.template.$danmuku.style.clipPath, "");
});

test("several ArtPlayers with the same plugin have independent masks", () => {
  const players = [new Artplayer(), new Artplayer()];
  const plugin = artplayerPluginDanmatte({ source: makeSource() });
  const handles = players.map((art) => plugin(art).handle);
  assert.notEqual(handles[0], handles[1]);
  players[0].dispatchEvent(new Event("destroy"));
  assert.match(players[1].template.$danmuku.style.clipPath, /^path/);
  players[1].dispatchEvent(new Event("destroy"));
});

/** The part of a player that adapters use: events, and the parts that a test adds. */
class Player extends EventTarget {
  constructor(parts) {
    super();
    Object.assign(this, parts);
  }

  on(names, listener) {
    for (const name of [names].flat()) this.addEventListener(name, listener);
  }

  emit(name) {
    this.dispatchEvent(new Event(name));
  }
}

const isMasked = (layer) => layer.style.clipPath.startsWith("path");

test("ArtPlayer's settings change the viewer's preferences and follow changes elsewhere", () => {
  const items = [];
  const setting = { add: (item) => items.push(item), update: (item) => Object.assign(items.find(({ name }) => name === item.name), item) };
  const art = Object.assign(new Artplayer(), { option: { setting: true, lang: "en" }, setting });
  const { handle } = artplayerPluginDanmatte({ source: makeSource(), preferences: {} })(art);
  const [toggle, margin] = items;
  assert.deepEqual(items.map(({ html }) => html), ["Comments behind people", "Distance", "Strength"]);
  toggle.switch = toggle.onSwitch(toggle);
  assert.deepEqual([toggle.switch, handle.preferences.on, isMasked(art.template.$danmuku)], [false, false, false]);
  handle.preferences.set({ on: true });
  assert.equal(toggle.switch, true);
  margin.range[0] = 2;
  assert.equal(margin.onRange(margin), "2 %");
  assert.equal(handle.preferences.margin, 0.02);
  art.dispatchEvent(new Event("destroy"));
});

test("DPlayer keeps masks and preferences when its quality changes", () => {
  const [panel, danmaku] = [new FakeElement(), new FakeElement()];
  const container = { querySelector: () => panel };
  const player = new Player({ video: video(), template: { danmaku }, container, options: { lang: "en" } });
  const binding = attachDPlayer(player, { source: makeSource(), preferences: {} });
  assert.ok(isMasked(danmaku));
  assert.equal(panel.all("input").length, 3);
  const { handle: first } = binding;
  first.preferences.set({ margin: 0.01 });
  player.video = video();
  player.emit("quality_end");
  assert.notEqual(binding.handle, first);
  assert.ok(isMasked(danmaku));
  assert.equal(binding.handle.preferences.margin, 0.01);
  const other = makeSource();
  binding.use({ source: other });
  player.video = video();
  player.emit("quality_end");
  assert.equal(binding.handle.source, other);
  player.emit("destroy");
  assert.equal(danmaku.style.clipPath, "");
});

test("layers of NPlayer and xgplayer are clipped until the player is destroyed", () => {
  const layer = new FakeElement();
  const nplayer = new Player({ video: video(), danmaku: { el: layer } });
  attachNPlayer(nplayer, { source: makeSource() });
  assert.ok(isMasked(layer));
  nplayer.emit("BeforeDispose");
  assert.equal(layer.style.clipPath, "");
  const xgplayer = new Player({ media: video(), getPlugin: (name) => (name === "danmu" ? { root: layer } : null) });
  attachXgplayer(xgplayer, { source: makeSource() });
  assert.ok(isMasked(layer));
  xgplayer.emit("destroy");
  assert.equal(layer.style.clipPath, "");
});

test("a player without the required plugin or video is rejected", () => {
  assert.throws(() => attachNPlayer(new Player({ video: video() }), { source: makeSource() }), /@nplayer\/danmaku/);
  assert.throws(() => attachXgplayer(new Player({ media: video(), getPlugin: () => null }), { source: makeSource() }), /danmu/);
  assert.throws(() => attachVideoJs(new Player({ el: () => ({ querySelector: () => null }) }), new FakeElement(), { source: makeSource() }), /a video/);
});

test("video.js keeps its masks when its video element changes", () => {
  const layer = new FakeElement();
  let shown = video();
  const player = new Player({ el: () => ({ querySelector: () => shown }) });
  const binding = attachVideoJs(player, layer, { source: makeSource() });
  const { handle: first } = binding;
  player.emit("loadstart");
  assert.equal(binding.handle, first, "a different film in the same video element");
  shown = video();
  player.emit("loadstart");
  assert.notEqual(binding.handle, first);
  assert.ok(isMasked(layer));
  const other = makeSource();
  binding.handle.use({ source: other });
  shown = video();
  player.emit("loadstart");
  assert.equal(binding.handle.source, other, "the current masks, not the first ones");
  player.emit("dispose");
  assert.equal(layer.style.clipPath, "");
});
