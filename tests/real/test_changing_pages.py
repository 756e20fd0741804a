"""Pages that change around a player: moved, restyled, in windows and dialogs, with films and tracks that differ.

In a real Chromium and a real Firefox. Comments are magenta all over, and the film is a white box on dark ground: what
is magenta inside the box, or bare beside it, is a mask in the wrong place.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from danmatte.frame import Size
from danmatte.tracks import Entry, TrackHeader, TrackWriter
from danmatte.tracks.film import describe_film
from danmatte.video.reader import Video
from tests.architecture.sources import ROOT
from tests.real import browser, static_server
from tests.real.firefox import open_firefox

pytestmark = pytest.mark.slow

PAGE = """<!doctype html>
<style>
  body { margin: 0; background: #000; height: 600px; overflow: hidden }
  #player { position: relative; width: 480px; height: 270px; left: 90px; top: 60px }
  video { width: 100%; height: 100%; display: block }
  #layer { position: absolute; inset: 0; background: #f0f }
  dialog { padding: 0; border: 0; overflow: visible }
</style>
<div id=around><div id=player><video id=video muted playsinline></video><div id=layer></div></div></div>
<script type=module>
  import { attach, openCues } from "/web/danmatte.js";
  import "/web/element.js";
  Object.assign(window, { attach, openCues });
  window.open_ = (address) => new Promise((done) => {
    video.addEventListener("loadeddata", () => done(), { once: true });
    video.src = address;
  });
  window.go = (seconds) => new Promise((done) => {
    const repaint = (next) => requestAnimationFrame(() => next());
    video.addEventListener("seeked", () => repaint(() => repaint(done)), { once: true });
    video.currentTime = seconds;
  });
  window.settle = (ms = 200) => new Promise((done) => setTimeout(done, ms));
  window.ready = true;
</script>"""
VIEWPORT = {"width": 700, "height": 420}
LONG = "-v error -i film.webm -f lavfi -i sine=440:d=10 -map 0:v -map 1:a -c:v copy -c:a libopus long.webm"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "service/danmatte/web", folder / "web")
    (folder / "page.html").write_text(PAGE)
    browser.write_film(folder / "film.webm")
    browser.write_track(folder / "film.mattes")
    if shutil.which("ffmpeg"):
        subprocess.run(["ffmpeg", *LONG.split()], cwd=folder, check=True, timeout=120)
        write_long_track(folder)
    with static_server.serve_folder(folder) as address:
        yield address


def write_long_track(folder: Path) -> None:
    """The track of a film whose sound lasts four seconds longer than its pictures."""
    with (
        Video(folder / "long.webm") as video,
        TrackWriter(folder / "long.mattes", TrackHeader(Size(18, 32), "person")) as writer,
    ):
        for frame in video.read_frames():
            writer.add(Entry(frame.pts_ms, np.ones((18, 32), np.bool_)))
        writer.describe_film(describe_film(video, "0" * 64, video.ended_ms))


@pytest.fixture(scope="module", params=["Chromium", "Firefox"])
def driven(request: pytest.FixtureRequest) -> Iterator[object]:
    with browser.open_browser() if request.param == "Chromium" else open_firefox() as opened:
        yield opened


@pytest.fixture
def page(driven: object, site: str) -> Iterator[object]:
    opened = driven.new_page(viewport=VIEWPORT)
    opened.goto(f"{site}/page.html")
    browser.wait_until(opened, "window.ready === true")
    yield opened
    opened.close()


def attach_masks(page: object, options: str = "", seconds: float = 1.02) -> None:
    """The film, paused on a masked frame."""
    page.evaluate("open_('/film.webm')")
    page.evaluate(f"void (window.handle = attach(video, layer, {{ track: '/film.mattes', {options} }}))")
    page.evaluate(f"go({seconds})")
    browser.wait_until(page, "handle.stats.state === 'masked'")


def measure_masks(page: object) -> None:
    """Comments are where the box isn't, and nowhere else."""
    shots = []
    for shown in ("hidden", "visible"):
        page.evaluate(f"layer.style.visibility = '{shown}', settle(150)")
        shots.append(browser.decode_picture(page.screenshot()).astype(int))
    bare, worn = shots
    person = bare.min(-1) > 180
    comments = (worn[..., 0] > 150) & (worn[..., 1] < 120) & (worn[..., 2] > 150)
    assert np.count_nonzero(person) > 2000, "the person is on the screen"
    assert np.mean(~comments[person]) > 0.97, "comments cover the person"
    near = browser.grow(person, 6)
    ground = (bare.max(-1) > 10) & ~near
    assert np.mean(comments[ground]) > 0.98, "comments are missing beside the person"


def test_a_paused_video_shows_the_mask_of_its_frame(page: object) -> None:
    page.evaluate("open_('/film.webm')")
    for seconds in (1.236, 2.037, 3.195):
        page.evaluate(f"go({seconds})")
        page.evaluate("void (window.handle = attach(video, layer, { track: '/film.mattes' }))")
        browser.wait_until(page, "handle.stats.state === 'masked'")
        assert page.evaluate("handle.stats.pts") == 40 * int(seconds * browser.RATE)
        page.evaluate("handle.preferences.set({ on: false }), handle.preferences.set({ on: true })")
        browser.wait_until(page, "handle.stats.state === 'masked'")
        assert page.evaluate("handle.stats.pts") == 40 * int(seconds * browser.RATE)


def test_a_film_that_starts_in_the_middle_shows_the_mask_of_its_frame(page: object) -> None:
    page.evaluate("void (window.handle = attach(video, layer, { track: '/film.mattes' }))")
    page.evaluate("open_('/film.webm#t=1.236')")
    browser.wait_until(page, "handle.stats.state === 'masked'")
    page.evaluate("settle(800)")
    assert page.evaluate("handle.stats.pts") == 1200
    measure_masks(page)


@pytest.mark.parametrize(
    "style",
    ["scale: -1 1", "rotate: 180deg", "object-position: right 30px bottom 5px; width: 60%"],
)
def test_a_drawn_frame_has_the_style_of_the_video(page: object, style: str) -> None:
    attach_masks(page, "sync: 'exact'")
    page.evaluate(f"video.style.cssText = '{style}', handle.refresh(), settle(700)")
    page.evaluate("go(1.5), settle(700)")
    page.evaluate("handle.refresh()")
    measure_masks(page)


def test_masks_follow_an_object_position_from_right_and_bottom(page: object) -> None:
    attach_masks(page)
    page.evaluate("video.style.cssText = 'width: 300px; object-position: right 0px bottom 12px', handle.refresh()")
    measure_masks(page)
    page.evaluate("video.style.cssText = 'height: 120px; object-position: right 40px top 0px', handle.refresh()")
    measure_masks(page)


@pytest.mark.parametrize("way", ["dialog", "popover"])
def test_transforms_around_a_dialog_or_popover_do_not_move_masks(page: object, way: str) -> None:
    attach_masks(page)
    page.evaluate("around.style.transform = 'scaleX(-1) rotate(10deg)'")
    page.evaluate(
        f"""(() => {{
        const top = document.createElement('{"dialog" if way == "dialog" else "div"}');
        if ('{way}' === 'popover') top.popover = 'manual', top.style.cssText = 'padding: 0; border: 0; margin: 0';
        around.append(top);
        top.append(player);
        '{way}' === 'popover' ? top.showPopover() : top.showModal();
        player.style.left = player.style.top = 0;
        handle.refresh();
        }})()"""
    )
    page.evaluate("settle(700)")
    measure_masks(page)


def test_the_source_that_plays_determines_the_track(page: object) -> None:
    page.evaluate(
        """(() => {
        const track = ({ currentSrc }) => (currentSrc.endsWith('/film.webm') ? '/film.mattes' : null);
        window.handle = attach(video, layer, { track });
        for (const src of ['/nothing.webm', '/film.webm']) {
          video.append(Object.assign(document.createElement('source'), { src }));
        }
        video.load();
        })()"""
    )
    browser.wait_until(page, "handle.stats.state === 'masked' || handle.stats.state === 'nobody'")
    assert page.evaluate("handle.source.constructor.name") == "Track"


def test_a_missing_text_track_is_reported(page: object) -> None:
    page.evaluate("open_('/film.webm')")
    page.evaluate(
        """(() => {
        window.errors = [];
        const element = Object.assign(document.createElement('track'), { kind: 'metadata', src: '/nothing.vtt' });
        video.append(element);
        window.handle = attach(video, layer, { source: openCues(element.track), onerror: (why) => errors.push(why) });
        })()"""
    )
    browser.wait_until(page, "errors.length > 0")
    assert "/nothing.vtt: the browser couldn't load it" in page.evaluate("errors[0]")
    assert page.evaluate("layer.style.filter") == "", "comments aren't changed"


def test_a_moved_layer_keeps_its_strength(page: object) -> None:
    attach_masks(page, "preferences: { strength: 0.5 }")
    page.evaluate(
        """(() => {
        const [other, ...moved] = [player.cloneNode(), video, layer];
        player.replaceWith(other);
        other.append(...moved);
        [window.video, window.layer] = moved;
        })()"""
    )
    page.evaluate("settle(1200)")
    page.evaluate("go(1.5), settle(400)")
    pixels = browser.decode_picture(page.screenshot()).astype(int)
    pink = (pixels[..., 0] > 200) & (pixels[..., 1] > 90) & (pixels[..., 1] < 180) & (pixels[..., 2] > 200)
    magenta = (pixels[..., 0] > 200) & (pixels[..., 1] < 60) & (pixels[..., 2] > 200)
    assert np.count_nonzero(pink) > 5000, "comments shine through the person"
    assert np.count_nonzero(magenta) > 50_000, "and are whole beside it"


def test_masks_are_restored_after_a_page_overwrites_the_layers_style(page: object) -> None:
    attach_masks(page)
    page.evaluate("layer.setAttribute('style', 'color: #fff'), settle(1100)")
    measure_masks(page)


def test_a_player_in_another_window_keeps_its_masks_and_style(page: object) -> None:
    """A same-origin frame stands for a window of its own over others, which needs a click."""
    page.evaluate(
        """(() => {
        layer.outerHTML = '<danmatte-layer id=comments track=/film.mattes style="background: #f0f"></danmatte-layer>';
        const frame = Object.assign(document.createElement('iframe'), { id: 'frame', width: 680, height: 400 });
        frame.style.border = '0';
        document.body.append(frame);
        })()"""
    )
    page.evaluate("open_('/film.webm')")
    page.evaluate(
        """new Promise((done) => {
        const inner = document.querySelector('#frame').contentDocument;
        inner.head.append(...[...document.querySelectorAll('style')].map((sheet) => inner.importNode(sheet, true)));
        inner.body.style.transform = 'scaleX(-1)';
        Object.assign(window, { player, video, layer: player.querySelector('danmatte-layer') });
        inner.body.append(player);
        around.remove();
        setTimeout(done, 700);
        })"""
    )
    assert page.evaluate("frame.contentWindow.getComputedStyle(layer).position") == "absolute"
    page.evaluate("go(1.02)")
    browser.wait_until(page, "layer.handle?.stats.state === 'masked'")
    page.evaluate("video.loop = true, video.play().then(() => settle(900)).then(() => video.pause())")
    page.evaluate("go(1.5)")
    browser.wait_until(page, "layer.handle?.stats.pts === 1480")
    page.evaluate("layer.handle.refresh()")
    measure_masks(page)


def test_a_film_whose_sound_outlasts_its_pictures_matches_its_track(page: object) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("needs ffmpeg")
    page.evaluate("open_('/long.webm')")
    page.evaluate("void (window.handle = attach(video, layer, { track: '/long.mattes' }))")
    page.evaluate("go(1.02)")
    browser.wait_until(page, "handle.stats.state === 'masked' || handle.error")
    assert page.evaluate("[video.duration > 9, handle.error]") == [True, ""]
