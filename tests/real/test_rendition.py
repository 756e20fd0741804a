"""Masks in text tracks, as hls.js loads them of HLS, and browsers a file; in a real Chromium and a real Firefox."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from danmatte import cli
from danmatte.frame import Size
from danmatte.tracks import Entry, Film, TrackHeader, TrackWriter
from danmatte.video.reader import Video
from tests.architecture.sources import ROOT
from tests.real import browser, clips
from tests.real.firefox import open_firefox
from tests.real.static_server import serve_folder

pytestmark = pytest.mark.slow

PAGE = """<!doctype html>
<script src="/hls.min.js"></script>
<div style="position:relative;width:320px">
  <video id=video muted playsinline width=320></video><div id=layer></div>
</div>
<script type=module>
  import { attach, openCues } from "/web/danmatte.js";
  window.seen = [];
  START
  const find = (film) => [...film.textTracks].find(({ label }) => label === "masks");
  window.handle = attach(video, layer, { source: openCues(find), onframe: (stats) => seen.push({ ...stats }) });
</script>"""
WAYS = {
    "hls": 'const hls = new Hls(); hls.loadSource("/hls/video.m3u8"); hls.attachMedia(video);',
    "file": """
        const track = { kind: "metadata", label: "masks", src: "/hls/film.vtt" };
        video.src = "/hls/film.mp4";
        video.append(Object.assign(document.createElement("track"), track));""",
}


def make_film(folder: Path) -> None:
    """Four seconds of HLS in transport streams, whose own time is 33 s on; and as a file."""
    source = "-v error -f lavfi -i testsrc=size=320x180:rate=25:duration=4 -c:v libx264 -g 25 -bf 2 -pix_fmt yuv420p"
    target = "-f hls -hls_time 1 -hls_list_size 0 -output_ts_offset 33 list.m3u8"
    clips.run(["ffmpeg", *source.split(), *target.split()], folder)
    clips.run(["ffmpeg", *source.replace("-bf 2", "-bf 0").split(), "film.mp4"], folder)
    (folder / "video.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=320x180\nlist.m3u8\n")


def write_masks(folder: Path) -> None:
    """A track of the film, a mask a frame; and its rendition, by the command line."""
    with (
        Video(folder / "list.m3u8") as video,
        TrackWriter(folder / "film.mattes", TrackHeader(Size(18, 32), "person")) as writer,
    ):
        for number, frame in enumerate(video.read_frames()):
            writer.add(Entry(frame.pts_ms, np.tile(np.arange(32) < 4 + number % 20, (18, 1))))
        facts = ("0" * 64, "media", 320, 180, (1, 1), video.first_ms, video.ended_ms, 0, 0)
        writer.describe_film(Film(*facts, sections=tuple(video.sections)))
    source = str(folder / "film.mattes")
    words = ["--multivariant", str(folder / "video.m3u8")]
    assert cli.main(["convert", source, str(folder / "masks.m3u8"), *words]) == 0
    assert cli.main(["convert", source, str(folder / "film.vtt")]) == 0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    if not shutil.which("ffmpeg"):
        pytest.skip("needs ffmpeg")
    players = clips.fetch_players(tmp_path_factory.mktemp("npm"), "hls.js@1")
    shutil.copy(players / "hls.js/dist/hls.min.js", folder)
    shutil.copytree(ROOT / "service/danmatte/web", folder / "web")
    (folder / "hls").mkdir()
    make_film(folder / "hls")
    write_masks(folder / "hls")
    for way, start in WAYS.items():
        (folder / f"{way}.html").write_text(PAGE.replace("START", start))
    with serve_folder(folder) as address:
        yield address


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["Chromium", "Firefox"])
def test_each_frame_has_its_own_mask(name: str, way: str, site: str) -> None:
    with browser.open_browser() if name == "Chromium" else open_firefox() as opened:
        page = opened.new_page()
        page.goto(f"{site}/{way}.html")
        # hls.js begins with the first decoding time, two frames before the first picture.
        browser.wait_until(page, "[...video.textTracks].some(({ cues }) => cues?.length) && video.readyState > 2")
        page.evaluate("video.play()")
        browser.wait_until(page, "video.ended", 60)
        seen = [one for one in page.evaluate("seen") if one["state"] == "masked"]
    assert len({one["pts"] for one in seen}) > 4  # a busy machine shows few frames
    # A frame of 40 ms has the mask that begins with it: predicted times lie anywhere within the frame.
    assert all(-8 <= one["lag"] < 41 for one in seen)
    starts = sorted({one["pts"] % 40 for one in seen})
    assert starts[-1] - starts[0] <= 2, "masks begin where frames do"
