"""The adapters beside the comment libraries themselves, fetched with npm, in a real Chromium."""

import shutil
import subprocess

import numpy as np
import pytest

from tests.real import browser

pytestmark = pytest.mark.slow

PACKAGES = {
    "danmaku@2": ("danmaku.js", "danmaku/dist/esm/danmaku.js"),
    "artplayer@5": ("artplayer.mjs", "artplayer/dist/artplayer.mjs"),
    "artplayer-plugin-danmuku@5": (
        "artplayer-plugin-danmuku.mjs",
        "artplayer-plugin-danmuku/dist/artplayer-plugin-danmuku.mjs",
    ),
}
STYLE = "<!doctype html><style>body { margin: 0 } #box { position: relative; width: 640px; height: 360px }</style>"
# A comment nearly as large as the player: where it is shown, it is magenta.
DANMAKU = (
    STYLE
    + """<style>video { position: absolute; width: 640px; height: 360px }</style>
<div id=box><video id=video muted src=film.webm preload=auto></video></div>
<script type=module>
  import Danmaku from "/danmaku.js";
  import { behind } from "/adapters/danmaku.js";
  const bar = () => {
    const wide = document.createElement("div");
    wide.style.cssText = "width:640px;height:320px;background:#f0f";
    return wide;
  };
  const wall = Object.assign(document.createElement("canvas"), { width: 640, height: 320 });
  wall.getContext("2d").fillStyle = "#f0f";
  wall.getContext("2d").fillRect(0, 0, 640, 320);
  window.danmaku = new Danmaku({ container: box, media: video, engine: ENGINE });
  window.handle = behind(danmaku, { track: "/film.mattes" });
  await video.play();
  danmaku.emit(ENGINE === "canvas" ? { mode: "top", render: () => wall } : { mode: "top", render: bar });
  setTimeout(() => video.pause(), 900);
</script>"""
)
ARTPLAYER = (
    STYLE
    + """<div id=box></div>
<script type=module>
  import Artplayer from "/artplayer.mjs";
  import artplayerPluginDanmuku from "/artplayer-plugin-danmuku.mjs";
  import { artplayerPluginDanmatte } from "/adapters/artplayer.js";
  window.art = new Artplayer({ container: box, url: "/film.webm", muted: true, plugins: [
    artplayerPluginDanmuku({ danmuku: [{ text: "██████████", time: 0.1, color: "#ff00ff" }], fontSize: 60, speed: 10 }),
    artplayerPluginDanmatte({ track: "/film.mattes" }),
  ] });
  window.handle = art.plugins.artplayerPluginDanmatte.handle;
  art.on("ready", () => art.play());
</script>"""
)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The libraries' modules by name."""
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("npm")
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
    run = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    if run.returncode:
        pytest.skip(f"npm couldn't fetch the libraries: {run.stderr[-200:]}")
    return {name: (folder / "node_modules" / path).read_bytes() for name, path in PACKAGES.values()}


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory, libraries: dict[str, bytes]) -> dict[str, bytes | str]:
    folder = tmp_path_factory.mktemp("film")
    browser.write_film(folder / "film.webm")
    browser.write_track(folder / "film.mattes")
    return {**libraries, **{path.name: path.read_bytes() for path in folder.glob("film.*")}}


def open_page(chromium: object, address: str, bodies: dict[str, bytes | str], html: str) -> object:
    """A page of a library's, once its comments are masked."""
    page = chromium.new_page(viewport={"width": 640, "height": 360})
    page.route("**/*", browser.route_files({**bodies, "test.html": html}))
    page.goto(f"{address}/test.html")
    browser.wait_until(page, "window.handle && handle.stats.state === 'masked'")
    return page


def find_comments(page: object) -> np.ndarray:
    """Where comments are on a screenshot."""
    pixels = browser.decode_picture(page.screenshot()).astype(int)
    return (pixels[..., 0] > 180) & (pixels[..., 1] < 90) & (pixels[..., 2] > 180)


def locate_person(page: object) -> tuple[int, int]:
    """The person's left and right edge on the screen, by the frame that is shown."""
    left = 2 * browser.locate_box(round(page.evaluate("handle.stats.pts") * browser.RATE / 1000))
    return left, left + 2 * browser.BOX[0]


@pytest.mark.parametrize("engine", ["dom", "canvas"])
def test_danmaku_comments_are_behind(
    chromium: object, address: str, bodies: dict[str, bytes | str], engine: str
) -> None:
    page = open_page(chromium, address, bodies, DANMAKU.replace("ENGINE", f"'{engine}'"))
    browser.wait_until(page, "video.paused && video.currentTime > 0.5")
    page.wait_for_timeout(300)
    comments = find_comments(page)
    left, right = locate_person(page)
    assert comments[180, : left - 4].all()
    assert comments[180, right + 4 :].all()
    assert not comments[90:270, left + 4 : right - 4].any()
    page.evaluate("window.stage = box.lastElementChild, danmaku.destroy()")
    assert page.evaluate("stage.style.clipPath") == ""
    page.close()


def test_artplayer_comments_are_behind(chromium: object, address: str, bodies: dict[str, bytes | str]) -> None:
    page = open_page(chromium, address, bodies, ARTPLAYER)
    browser.wait_until(page, "art.currentTime > 1.6")
    page.evaluate("art.pause()")
    page.wait_for_timeout(300)
    assert page.evaluate("art.template.$danmuku.style.clipPath.startsWith('path')")
    path = page.evaluate("handle.outline")
    left, right = locate_person(page)
    xs = [float(point.split()[0]) for point in path.replace("M", "L").replace("Z", "").split("L")[1:]]
    assert abs(min(xs) - left) <= 3
    assert abs(max(xs) - right) <= 3
    assert not find_comments(page)[90:270, left + 4 : right - 4].any()
    assert find_comments(page).any()
    page.evaluate("art.destroy()")
    page.close()
