"""Comments pass behind people, in a real Chromium, frame by frame.

The comment layer is magenta all over. A white box runs through a film on dark ground, so a screenshot shows
how far mask and frame are apart: where the box is, the layer must be cut out, and dark ground in the cut-out is a lag.
While it plays, the frame's number at the film's foot is compared with the place of the cut-out, in one screenshot;
only moments at which the machine let the page repaint are counted.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageFilter

from danmatte.tracks import TrackReader
from tests.architecture.sources import ROOT
from tests.real import browser
from tests.real.screenshots import (
    BARE,
    classify_stage,
    count_frames_apart,
    take_fair_screenshots,
    take_screenshots,
    wait_for_frame,
)
from tests.service.toy import Toy

pytestmark = pytest.mark.slow

WEB = ROOT / "service" / "danmatte" / "web"
FRAME_MS = 1000 / browser.RATE
SEEN = "window.seen.filter(({ state }) => state !== 'late')"
LACKING = {
    "whole": "0",
    "without their times": "delete window.VideoFrame",
    "without a callback": "delete HTMLVideoElement.prototype.requestVideoFrameCallback",
}
HARNESS = """<!doctype html>
<style>
  body { margin: 0; background: #000 }
  #stage { position: relative; width: 640px; height: 360px; overflow: hidden }
  video { width: 100%; height: 100%; display: block; object-fit: contain }
  #layer { position: absolute; inset: 0; background: #f0f }
</style>
<div id=stage><video id=video muted playsinline></video><div id=layer></div></div>
<script type=module>
  import { attach, openCues, openTrack } from "/danmatte.js";
  window.seen = [];
  window.wear = async (film, options) => {
    window.handle?.detach();
    video.src = URL.createObjectURL(await (await fetch(film)).blob());
    const onframe = (stats) => seen.push({ ...stats, at: performance.now() });
    window.handle = attach(video, layer, { ...options, onframe });
  };
  window.addCues = (address) => {
    const element = Object.assign(document.createElement("track"), { kind: "metadata", src: address });
    video.append(element);
    return openCues(element.track);
  };
  window.lagging = (url, ms) => {
    const track = openTrack(url);
    const source = {
      at: (time) => track.at(time - ms),
      want: (time, film) => track.want(time, film),
      close: () => track.close(),
      onchange() {},
    };
    track.onchange = () => source.onchange();
    return source;
  };
  window.go = (seconds) => new Promise((done) => {
    video.addEventListener("seeked", () => requestAnimationFrame(() => requestAnimationFrame(done)), { once: true });
    video.currentTime = seconds;
  });
  window.ready = true;
</script>"""


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy(96, 160, rule="stretch")


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes | str]:
    folder = tmp_path_factory.mktemp("film")
    browser.write_film(folder / "film.webm")
    for suffix in (".mattes", ".vtt", ".webmask"):
        browser.write_track(folder / f"film{suffix}")
    return {"test.html": HARNESS, **{path.name: path.read_bytes() for path in folder.glob("film.*")}}


@pytest.fixture
def page(chromium: object, address: str, bodies: dict[str, bytes | str]) -> Iterator[object]:
    """The harness; an error on the page fails the test."""
    opened = chromium.new_page(viewport={"width": 700, "height": 420})
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.route("**/*", browser.route_files(bodies))
    opened.goto(f"{address}/test.html")
    browser.wait_until(opened, "window.ready")
    yield opened
    opened.close()
    assert errors == []


def attach_masks(page: object, options: str = '{ track: "/film.mattes" }', film: str = "/film.webm") -> None:
    """Video and masks, up to the first masked frame."""
    page.evaluate(f"wear({film!r}, {options})")
    browser.wait_until(page, "window.handle && handle.stats.state === 'masked'")


def play_in_loop(page: object, rate: float) -> None:
    """Play in a loop, with the frame's number uncovered."""
    page.evaluate(BARE)
    page.evaluate(f"video.loop = true, video.playbackRate = {rate}, video.play()")


def check_stage(seen: np.ndarray) -> None:
    """The box is whole and comments are everywhere else, to within a frame."""
    person = np.count_nonzero(seen[180] == 2)
    assert person >= 2 * (browser.BOX[0] - browser.STEP) - 6, f"{person} pixels of the person are seen"
    assert count_frames_apart(seen) <= 1.0
    assert np.all(seen[30] == 1), "comments are missing outside the person"


@pytest.mark.parametrize("rate", [1, 2])
def test_comments_are_behind_the_person_while_a_film_plays(page: object, rate: float) -> None:
    attach_masks(page)
    play_in_loop(page, rate)
    assert max(abs(screenshot.apart) for screenshot in take_fair_screenshots(page, 10)) <= 1
    page.evaluate("go(1)")
    assert max(abs(screenshot.apart) for screenshot in take_fair_screenshots(page, 5)) <= 1
    seen = page.evaluate(SEEN)
    assert len(seen) > 20
    assert max(abs(one["lag"]) for one in seen) <= 1


@pytest.mark.parametrize(
    "masks", ['track: "/film.vtt"', 'source: addCues("/film.vtt")'], ids=["by ranges", "as a text track"]
)
def test_webvtt_masks_are_shown_with_their_frames(page: object, masks: str) -> None:
    attach_masks(page, f"{{ {masks} }}")
    play_in_loop(page, 1)
    assert max(abs(screenshot.apart) for screenshot in take_fair_screenshots(page, 10)) <= 1
    page.evaluate("video.pause()")
    for number in (3, 74, 75, 149, 0):
        page.evaluate(f"go({(number + 0.5) / browser.RATE})")
        browser.wait_until(page, f"Math.abs(handle.stats.pts - {number * FRAME_MS}) <= 1")
        assert count_frames_apart(wait_for_frame(page, number)) < 0.5
    assert page.evaluate("handle.error") == ""


@pytest.mark.parametrize("frames", ["whole", "without their times", "without a callback"])
def test_a_drawn_frame_has_the_mask_of_the_same_frame(page: object, frames: str) -> None:
    page.evaluate(LACKING[frames])
    attach_masks(page, '{ track: "/film.mattes", sync: "exact" }')
    play_in_loop(page, 2)
    if frames == "without their times":
        assert max(abs(screenshot.apart) for screenshot in take_fair_screenshots(page, 10)) <= 1
    else:
        apart = [screenshot.apart for screenshot in take_screenshots(page, 10)]
        page.evaluate("go(1)")
        assert not any(apart + [screenshot.apart for screenshot in take_screenshots(page, 5)])
    page.evaluate("handle.detach()")
    assert page.evaluate("document.querySelector('canvas')") is None


@pytest.mark.parametrize("fit", ["contain", "cover"])
def test_a_drawn_frame_lies_exactly_over_the_video(page: object, fit: str) -> None:
    attach_masks(page, '{ track: "/film.mattes", sync: "exact" }')
    page.evaluate("go(1.02)")
    wait_for_frame(page, 25)
    page.evaluate(f"stage.style.cssText = 'width:360px;height:300px', video.style.objectFit = {fit!r}")
    page.evaluate("new Promise((done) => setTimeout(done, 700))")
    seen = classify_stage(page)
    page.evaluate("video.style.opacity = 0, new Promise((done) => setTimeout(done, 700))")
    assert np.count_nonzero(classify_stage(page) != seen) < 10, "what is seen is the video, not the drawing"
    assert np.count_nonzero(seen == 0) < 0.005 * seen.size
    scale = 1.125 if fit == "contain" else 5 / 3
    left = 180 + scale * (browser.locate_box(25) - browser.WIDTH / 2)
    assert abs(np.flatnonzero(seen[150] == 2)[0] - max(0, left)) <= 3


def test_the_measurement_detects_masks_that_lag_two_frames(page: object) -> None:
    page.evaluate(f"wear('/film.webm', {{ source: lagging('/film.mattes', {2 * FRAME_MS}) }})")
    browser.wait_until(page, "window.handle && video.readyState >= 2")
    page.evaluate("go(1)")  # its first mask comes two frames late
    browser.wait_until(page, "handle.stats.state === 'masked'")
    play_in_loop(page, 2)
    assert max(abs(screenshot.apart) for screenshot in take_fair_screenshots(page, 10)) > 1


def test_every_seek_shows_the_mask_of_its_frame(page: object) -> None:
    attach_masks(page)
    for number in (3, 74, 75, 149, 20, 76, 0, 110, 60, 148):
        page.evaluate(f"go({(number + 0.5) / browser.RATE})")
        browser.wait_until(page, f"Math.abs(handle.stats.pts - {number * FRAME_MS}) <= 1")
        seen = wait_for_frame(page, number)
        assert count_frames_apart(seen) < 0.5
        where = np.flatnonzero(seen[180] == 2)
        assert abs(where[0] - 2 * browser.locate_box(number)) <= 3


def test_no_mask_is_shown_across_a_cut(page: object) -> None:
    attach_masks(page)
    page.evaluate(f"go({(browser.CUT - 8) / browser.RATE})")
    page.evaluate("seen.length = 0, video.play()")
    browser.wait_until(page, f"handle.stats.time > {(browser.CUT + 8) * FRAME_MS}")
    edge = browser.CUT * FRAME_MS
    for one in page.evaluate(SEEN):
        assert (one["time"] > edge - 1) == (one["pts"] > edge - 1)


def test_a_loop_begins_with_the_masks_of_its_first_frames(page: object) -> None:
    attach_masks(page)
    page.evaluate("go(5.6)")
    page.evaluate("seen.length = 0")
    play_in_loop(page, 1)
    browser.wait_until(page, "seen.some(({ time }) => time < 400)")
    assert abs(take_fair_screenshots(page, 1)[0].apart) <= 1
    assert max(abs(one["lag"]) for one in page.evaluate(SEEN)) <= 1


def test_without_frame_callbacks_masks_are_at_most_two_frames_off(page: object) -> None:
    page.evaluate(LACKING["without a callback"])
    attach_masks(page)
    page.evaluate("go(1.02)")
    check_stage(wait_for_frame(page, 25))
    play_in_loop(page, 1)
    apart = sorted(abs(screenshot.apart) for screenshot in take_fair_screenshots(page, 10))
    assert apart[5] <= 1
    assert apart[-1] <= 2


@pytest.mark.parametrize(
    ("style", "scale", "left", "top"),
    [
        ("width:640px;height:420px", 2.0, 0, 30),
        ("width:320px;height:180px", 1.0, 0, 0),
        ("width:680px;height:180px", 1.0, 180, 0),
        ("width:360px;height:300px", 1.125, 0, 48.75),
    ],
)
def test_masks_follow_the_size_and_letterbox_of_the_video(
    page: object, style: str, scale: float, left: float, top: float
) -> None:
    attach_masks(page)
    page.evaluate("go(1.02)")
    page.evaluate(f"stage.style.cssText = {style!r}")
    page.evaluate("new Promise((done) => setTimeout(done, 100))")
    seen = classify_stage(page)
    row = seen[round(top + 90 * scale)]
    where = np.flatnonzero(row == 2)
    assert abs(where[0] - (left + scale * browser.locate_box(25))) <= 3
    assert np.count_nonzero(row == 0) <= 5
    assert np.all(seen[2] == 1), "comments are missing on the bars"


def test_masks_follow_object_fit_cover_and_full_screen(page: object) -> None:
    attach_masks(page)
    page.evaluate("go(1.02)")
    page.evaluate("stage.style.cssText = 'width:360px;height:360px', video.style.objectFit = 'cover'")
    page.evaluate("new Promise((done) => setTimeout(done, 100))")
    where = np.flatnonzero(classify_stage(page)[180] == 2)
    assert abs(where[0] - (2 * browser.locate_box(25) - 140)) <= 3
    page.evaluate("video.style.objectFit = 'contain', stage.requestFullscreen()")
    browser.wait_until(page, "document.fullscreenElement !== null")
    page.evaluate("stage.style.cssText = 'width:100%;height:100%'")
    page.evaluate("new Promise((done) => setTimeout(done, 200))")
    seen = classify_stage(page)
    assert np.count_nonzero(seen == 2) > 0.1 * seen.size * 0.5
    assert np.count_nonzero(seen == 0) < 0.02 * seen.size


def test_a_webmask_track_shows_its_masks(page: object) -> None:
    attach_masks(page, '{ track: "/film.webmask" }')
    page.evaluate("go(1.02)")
    browser.wait_until(page, "Math.abs(handle.stats.pts - 1000) <= 1")
    check_stage(wait_for_frame(page, 25))


@pytest.mark.parametrize(("late", "shown"), [("show", 255), ("hide", 0)])
def test_comments_without_masks_are_shown_or_hidden_as_configured(page: object, late: str, shown: int) -> None:
    page.evaluate(f"wear('/film.webm', {{ track: '/nothing.mattes', late: {late!r} }})")
    browser.wait_until(page, "video.readyState >= 2")
    page.wait_for_timeout(300)
    pixels = browser.decode_picture(page.locator("#stage").screenshot())
    assert abs(int(pixels[30, 30, 0]) - max(shown, browser.GROUNDS[0][0])) < 30
    assert page.evaluate("handle.stats.state") == "late"


def test_detaching_restores_the_layer(page: object) -> None:
    attach_masks(page)
    page.evaluate("handle.detach()")
    assert page.evaluate("[layer.style.clipPath, layer.style.filter]") == ["", ""]
    assert np.all(classify_stage(page) == 1)


def test_a_video_without_a_track_is_masked_live(page: object) -> None:
    attach_masks(page, "{ live: true }")
    page.evaluate("go(1.02)")
    browser.wait_until(page, "Math.abs(handle.stats.pts - 1000) <= 1")
    check_stage(wait_for_frame(page, 25))
    page.evaluate("seen.length = 0, video.loop = true, video.play()")
    browser.wait_until(page, "handle.source.counts.masks > 30")
    lags = [one["lag"] for one in page.evaluate(SEEN)]
    assert min(lags) >= -8
    assert sorted(lags)[len(lags) // 2] < 350


def test_a_copy_that_runs_ahead_brings_live_masks_in_time(page: object) -> None:
    attach_masks(page, "{ live: { ahead: 0.7 } }")
    page.evaluate("video.loop = true, video.play()")
    browser.wait_until(page, "handle.stats.frames > 60")
    page.evaluate("seen.length = 0")
    browser.wait_until(page, "seen.length > 60")
    lags = sorted(one["lag"] for one in page.evaluate(SEEN))
    assert lags[len(lags) // 2] <= 2 * FRAME_MS


def test_a_lost_connection_is_reopened(page: object) -> None:
    page.evaluate(
        """() => { const Real = WebSocket; window.sockets = [];
        window.WebSocket = class extends Real { constructor(url) { super(url); sockets.push(this); } }; }"""
    )
    attach_masks(page, "{ live: true }")
    page.evaluate("sockets[0].close()")
    page.evaluate("go(2.02)")
    browser.wait_until(page, "handle.source.counts.connections === 2")
    browser.wait_until(page, "Math.abs(handle.stats.pts - 2000) <= 1")


def test_the_readmes_example_page_masks_comments(
    chromium: object, address: str, bodies: dict[str, bytes | str]
) -> None:
    block = (WEB / "README.md").read_text("utf-8").partition("```html")[2].partition("```")[0]
    page = chromium.new_page()
    html = "<!doctype html>" + block.replace("film.mp4", "film.webm").replace('"danmatte"', '"/danmatte.js"')
    page.route("**/*", browser.route_files({**bodies, "test.html": html}))
    page.goto(f"{address}/test.html")
    browser.wait_until(page, "document.querySelector('#comments').style.clipPath.startsWith('path')")
    page.close()


# The demo page itself, with the bundled sample.


def cover_comments(page: object) -> None:
    """One comment of magenta all over, instead of the page's; the corners are not rounded off."""
    page.evaluate(
        """() => { const cover = document.createElement("div");
        cover.style.cssText = "position:absolute;inset:0;z-index:9;background:#f0f";
        document.getElementById("comments").append(cover);
        document.getElementById("stage").style.borderRadius = 0; }"""
    )


def take_moment(page: object, masks: list[tuple[int, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Comments on a screenshot; where they must be hidden, and shown, whichever frame it caught, give or take one."""
    step = FRAME_MS * page.evaluate("video.playbackRate")
    before = page.evaluate("1000 * video.currentTime")
    pixels = browser.decode_picture(page.locator("#screen").screenshot()).astype(int)
    after = page.evaluate("1000 * video.currentTime")
    caught = [mask for pts, mask in masks if before - 2 * step <= pts <= after + step] if after >= before else []
    comments = (pixels[..., 0] > 200) & (pixels[..., 1] < 60) & (pixels[..., 2] > 200)
    if not caught:
        return comments, np.zeros_like(comments), np.zeros_like(comments)
    size = comments.shape[::-1]
    inside = shrink_mask(np.logical_and.reduce(caught), size)
    outside = shrink_mask(~np.logical_or.reduce(caught), size)
    # A screenshot of a box between two pixels holds a line of what is around it.
    outside[[0, -1]] = outside[:, [0, -1]] = False
    return comments, inside, outside


def shrink_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The mask at the screenshot's size, without its outermost pixels."""
    smaller = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.MinFilter(5))
    return np.asarray(smaller.resize(size, Image.Resampling.NEAREST)) > 127


@pytest.mark.parametrize("width", [1280, 390, 360])
def test_the_demo_hides_comments_behind_people(chromium: object, address: str, width: int) -> None:
    with TrackReader(WEB / "sample.mattes") as reader:
        masks = [(entry.pts_ms, entry.mask) for entry in reader]
    page = chromium.new_page(viewport={"width": width, "height": 800})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address)
    browser.wait_until(page, "!video.paused && comments.style.clipPath.startsWith('path')")
    page.evaluate("comments.getAnimations({ subtree: true }).forEach((flight) => flight.cancel())")
    cover_comments(page)
    compared = 0
    for number in range(12):
        if number == 4:
            page.evaluate("video.currentTime = 8")
        if number == 7:
            page.evaluate("video.playbackRate = 2")
        page.wait_for_timeout(150)
        comments, inside, outside = take_moment(page, masks)
        if inside.any() and outside.any():
            compared += 1
            assert comments[inside].mean() < 0.01, f"comments over the person at moment {number}"
            assert comments[outside].mean() > 0.99, f"comments missing at moment {number}"
    assert compared >= 8
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
    assert errors == []


def test_the_demo_plays_a_chosen_file(chromium: object, address: str) -> None:
    page = chromium.new_page(viewport={"width": 800, "height": 700})
    page.goto(address)
    page.check("#show-timings", force=True)
    page.set_input_files("#file", WEB / "sample.webm")
    browser.wait_until(page, "timings.textContent.includes('Round trip') && comments.style.filter === ''")
    page.check("[value=front]", force=True)
    assert page.evaluate("comments.style.clipPath") == ""
    page.close()
