import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeElement, FakeVideo, installBrowser } from "./fakes.js";

installBrowser();
const { artplayerPluginDanmatte } = await import("../../../service/danmatte/web/adapters/artplayer.js");
const { behind } = await import("../../../service/danmatte/web/adapters/danmaku.js");
const { Attachment } = await import("../../../service/danmatte/web/danmatte.js");

/** Masks of one person, at every time. */
function makeSource() {
  const outline = { width: 2, height: 2, rings: [Float32Array.of(0, 0, 1, 0, 1, 1)] };
  return { at: (ms) => ({ pts: ms, cut: false, held: false, coverage: 0.5, shape: { outline } }), want() {}, close() {}, onchange() {} };
}

const video = () => new FakeVideo({ readyState: 2, currentTime: 1 });

/** What of the library's engine an adapter sees; `destroy` is a method of its class, as the library's is. */
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

/** What of ArtPlayer a plugin sees. */
class Artplayer extends EventTarget {
  template = { $video: video(), $danmuku: new FakeElement() };

  on(name, listener) {
    this.addEventListener(name, listener);
  }
}

test("danmaku's stage, which it appends last, is clipped", () => {
  const danmaku = new Danmaku();
  const handle = behind(danmaku, { source: makeSource() });
  const [media, stage] = danmaku.container.children;
  assert.ok(handle instanceof Attachment);
  assert.match(stage.style.clipPath, /^path/);
  assert.equal(media.style.clipPath, "");
  handle.detach();
});

test("the end of danmaku is the end of its masks", () => {
  const danmaku = new Danmaku();
  behind(danmaku, { source: makeSource() });
  const { lastElementChild: stage } = danmaku.container;
  assert.equal(danmaku.destroy(), danmaku, "what the library answers is answered");
  assert.equal(danmaku.destroyed, 1);
  assert.equal(stage.style.clipPath, "");
});

test("after that it may be destroyed again, as without masks", () => {
  const danmaku = new Danmaku();
  behind(danmaku, { source: makeSource() });
  danmaku.destroy();
  danmaku.destroy();
  assert.equal(danmaku.destroyed, 2);
  assert.equal(danmaku.destroy, Danmaku.prototype.destroy);
});

test("ArtPlayer's layer of comments is clipped, by a plugin with a name", () => {
  const art = new Artplayer();
  const plugin = artplayerPluginDanmatte({ source: makeSource() })(art);
  assert.equal(plugin.name, "artplayerPluginDanmatte");
  assert.match(art.template.$danmuku.style.clipPath, /^path/);
  art.dispatchEvent(new Event("destroy"));
  assert.equal(art.template.$danmuku.style.clipPath, "");
});

test("another video has masks of its own, also at the player's end", () => {
  const art = new Artplayer();
  const plugin = artplayerPluginDanmatte({ source: makeSource() })(art);
  const { handle: first } = plugin;
  plugin.use({ source: makeSource() });
  assert.notEqual(plugin.handle, first);
  assert.match(art.template.$danmuku.style.clipPath, /^path/);
  art.dispatchEvent(new Event("destroy"));
  assert.equal(art.template.$danmuku.style.clipPath, "");
});

test("several players have plugins of their own", () => {
  const players = [new Artplayer(), new Artplayer()];
  const plugin = artplayerPluginDanmatte({ source: makeSource() });
  const handles = players.map((art) => plugin(art).handle);
  assert.notEqual(handles[0], handles[1]);
  players[0].dispatchEvent(new Event("destroy"));
  assert.match(players[1].template.$danmuku.style.clipPath, /^path/);
  players[1].dispatchEvent(new Event("destroy"));
});
