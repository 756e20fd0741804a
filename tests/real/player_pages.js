/**
 * Pages of real players with real comments, bundled by the tests: each puts its player into #box, and what the tests move it by on `window.stage`.
 *
 * `open(name)` gives `{ video(), layer, handle(), flip(), film(url), comment() }`.
 */

import { attach } from "danmatte";
import { artplayerPluginDanmatte } from "danmatte/adapters/artplayer";
import { behind } from "danmatte/adapters/danmaku";
import { attachDPlayer } from "danmatte/adapters/dplayer";
import { attachNPlayer } from "danmatte/adapters/nplayer";
import { attachVideoJs } from "danmatte/adapters/videojs";
import { attachXgplayer } from "danmatte/adapters/xgplayer";
import "danmatte/element";

const FILMS = { "film.webm": "/film.mattes", "other.webm": "/other.mattes" };
/** Each film's masks, by the video's own address. */
const track = ({ currentSrc }) => FILMS[currentSrc.split("/").at(-1)] ?? null;
const options = { track };
const MAGENTA = "#ff00ff";
const TEXT = "██ 弹幕 comment ██";

const flipVideo = (video) => () => (video().style.transform = "scaleX(-1)");
const swap = (video) => (url) => (video().src = url);
const box = () => document.querySelector("#box");

const players = {
  async danmaku({ engine = "dom" } = {}) {
    const { default: Danmaku } = await import("danmaku");
    box().innerHTML = "<video muted playsinline style='position:absolute;width:100%;height:100%' src=/film.webm></video>";
    const video = box().firstElementChild;
    const danmaku = new Danmaku({ container: box(), media: video, engine });
    const handle = behind(danmaku, options);
    const find = () => video;
    const comment = () => danmaku.emit({ text: TEXT, style: { font: "30px sans-serif", fontSize: "30px", color: MAGENTA, fillStyle: MAGENTA } });
    return { video: find, layer: box().lastElementChild, handle: () => handle, flip: flipVideo(find), film: swap(find), comment };
  },
  canvas: () => players.danmaku({ engine: "canvas" }),
  async artplayer() {
    const { default: Artplayer } = await import("artplayer");
    const { default: artplayerPluginDanmuku } = await import("artplayer-plugin-danmuku");
    const art = new Artplayer({
      container: box(),
      url: "/film.webm",
      muted: true,
      setting: true,
      flip: true,
      lang: "en",
      plugins: [artplayerPluginDanmuku({ danmuku: [], fontSize: 30 }), artplayerPluginDanmatte(options)],
    });
    await new Promise((done) => art.on("ready", done));
    const { handle } = art.plugins.artplayerPluginDanmatte;
    window.art = art;
    return {
      video: () => art.template.$video,
      layer: art.template.$danmuku,
      handle: () => handle,
      flip: () => (art.flip = "horizontal"),
      film: (url) => art.switchUrl(url),
      comment: () => art.plugins.artplayerPluginDanmuku.emit({ text: TEXT, color: MAGENTA }),
      menu: () => (art.setting.show = true),
      end: () => art.destroy(),
    };
  },
  async dplayer() {
    const { default: DPlayer } = await import("dplayer");
    const player = new DPlayer({
      container: box(),
      mutex: false,
      volume: 0,
      lang: "en",
      video: { quality: [{ name: "one", url: "/film.webm" }, { name: "two", url: "/film.webm" }], defaultQuality: 0 },
      danmaku: { id: "none", api: "/none/" },
      apiBackend: { read: ({ success }) => success([]), send: ({ success }) => success() },
    });
    player.video.muted = true;
    const binding = attachDPlayer(player, options);
    window.dp = player;
    return {
      video: () => player.video,
      layer: player.template.danmaku,
      handle: () => binding.handle,
      flip: () => flipVideo(() => player.video)(),
      film: (url) => player.switchVideo({ url }),
      comment: () => player.danmaku.draw({ text: TEXT, color: MAGENTA, type: "right" }),
      menu: () => player.setting.show(),
      quality: () => player.switchQuality(1),
      end: () => player.destroy(),
    };
  },
  async nplayer() {
    const { default: NPlayer } = await import("nplayer");
    const { default: Danmaku } = await import("@nplayer/danmaku");
    const player = new NPlayer({ src: "/film.webm", videoProps: { muted: "true" }, plugins: [new Danmaku({ items: [] })] });
    player.mount(box());
    player.video.muted = true;
    const handle = attachNPlayer(player, options);
    const find = () => player.video;
    const comment = () => player.danmaku.addItem({ time: player.currentTime, text: TEXT, color: MAGENTA });
    return { video: find, layer: player.danmaku.el, handle: () => handle, flip: flipVideo(find), film: swap(find), comment, end: () => player.dispose() };
  },
  async xgplayer() {
    const { default: Player, Danmu } = await import("xgplayer");
    box().innerHTML = "<div></div>";
    const player = new Player({
      el: box().firstElementChild,
      url: "/film.webm",
      width: "100%",
      height: "100%",
      autoplayMuted: true,
      videoInit: true,
      plugins: [Danmu],
      danmu: { comments: [], defaultOpen: true, fontSize: 30 },
    });
    player.media.muted = true;
    const handle = attachXgplayer(player, options);
    const find = () => player.media;
    const comment = () => player.danmu.sendComment({ duration: 8000, id: String(performance.now()), txt: TEXT, style: { color: MAGENTA, fontSize: "30px" } });
    return { video: find, layer: player.getPlugin("danmu").root, handle: () => handle, flip: flipVideo(find), film: (url) => player.switchURL(url), comment, end: () => player.destroy() };
  },
  async videojs() {
    const { default: videojs } = await import("video.js");
    const { default: Danmaku } = await import("danmaku");
    box().innerHTML = "<video class='video-js' muted playsinline preload=auto style='width:100%;height:100%'></video>";
    const player = videojs(box().firstElementChild, { controls: true, fill: true, muted: true, sources: [{ src: "/film.webm", type: "video/webm" }] });
    await new Promise((done) => player.ready(done));
    const layer = document.createElement("div");
    layer.style.cssText = "position:absolute;inset:0;overflow:hidden;pointer-events:none";
    player.el().querySelector("video").after(layer);
    const find = () => player.el().querySelector("video");
    const danmaku = new Danmaku({ container: layer, media: find() });
    const binding = attachVideoJs(player, layer, options);
    const comment = () => danmaku.emit({ text: TEXT, style: { fontSize: "30px", color: MAGENTA } });
    return { video: find, layer, handle: () => binding.handle, flip: flipVideo(find), film: (src) => player.src({ src, type: "video/webm" }), comment, end: () => player.dispose() };
  },
  async plyr() {
    const { default: Plyr } = await import("plyr");
    box().innerHTML = "<video muted playsinline src=/film.webm style='width:100%;height:100%'></video>";
    const player = new Plyr(box().firstElementChild, { iconUrl: "", muted: true });
    return wearElement(() => player.elements.container.querySelector("video"), player.elements.container.querySelector(".plyr__video-wrapper"));
  },
  async vidstack() {
    await import("vidstack/player");
    await import("vidstack/player/ui");
    box().innerHTML = "<media-player src=/film.webm muted playsinline load=eager style='width:100%;height:100%;display:block'><media-provider style='display:block;width:100%;height:100%'></media-provider></media-player>";
    const player = box().firstElementChild;
    while (!player.querySelector("video")) await new Promise((done) => setTimeout(done, 50));
    Object.assign(player.querySelector("video").style, { width: "100%", height: "100%" });
    return wearElement(() => player.querySelector("video"), player, (url) => (player.src = url));
  },
};

/** The element in a player without comments of its own. */
function wearElement(video, parent, film = swap(video)) {
  const layer = document.createElement("danmatte-layer");
  layer.setAttribute("track", "/film.mattes");
  parent.append(layer);
  const comment = () => layer.append(Object.assign(document.createElement("b"), { textContent: TEXT, style: `position:absolute;top:40px;left:100px;font-size:30px;color:${MAGENTA}` }));
  const change = (url) => {
    film(url);
    layer.setAttribute("track", FILMS[url.slice(1)]);
  };
  return { video, layer, handle: () => layer.handle, flip: flipVideo(video), film: change, comment };
}

/** A wall of comments in the player's own layer: what is magenta is shown. Libraries clear their layers, so it is built each time. */
function buildWall(layer) {
  const wall = document.createElement("div");
  wall.style.cssText = `position:absolute;inset:0;background:${MAGENTA}`;
  return {
    set hidden(hidden) {
      if (layer instanceof HTMLCanvasElement) {
        const context = layer.getContext("2d");
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.clearRect(0, 0, layer.width, layer.height);
        if (!hidden) Object.assign(context, { fillStyle: MAGENTA }).fillRect(0, 0, layer.width, layer.height);
      } else if (hidden) wall.remove();
      else layer.append(wall);
    },
  };
}

window.open_ = async (name) => {
  const stage = await players[name]();
  const wall = buildWall(stage.layer);
  const seen = [];
  Object.assign(window, { stage, wall, seen });
  const settle = () => new Promise((done) => setTimeout(done, 450)); // xgplayer shows its comments 300 ms after a seek
  Object.assign(stage, {
    settle,
    async seek(seconds) {
      stage.video().pause();
      const sought = new Promise((done) => stage.video().addEventListener("seeked", done, { once: true }));
      stage.video().currentTime = seconds;
      await sought;
      await settle();
    },
    /** What danmatte says it showed while the player plays for a while. */
    async play(ms, rate = 1) {
      const video = stage.video();
      video.loop = true;
      video.playbackRate = rate;
      await video.play();
      const lags = [];
      const end = performance.now() + ms;
      while (performance.now() < end) {
        await new Promise((done) => requestAnimationFrame(done));
        const { state, lag, time } = stage.handle().stats;
        lags.push([state, lag, time]);
      }
      video.pause();
      video.playbackRate = 1;
      await settle();
      return lags;
    },
  });
  attach; // the package's root is part of the bundle, as on a page of one's own
};
window.ready = true;
