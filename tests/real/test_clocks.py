"""Tracks count as browsers do: containers, clocks and matrices, in Chromium and Firefox, and HLS in three players."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from danmatte.frame import Size
from danmatte.models.standalone import open_version
from danmatte.tracks import Film, TrackReader
from danmatte.tracks.batch import FinishedTrack, TrackJob, TrackOptions, make_pipeline, make_track
from danmatte.video.reader import Video
from tests.real import browser, clips
from tests.real.firefox import open_firefox
from tests.service.toy import Toy, publish

pytestmark = [pytest.mark.slow, pytest.mark.data]
NEAR_MS = 0.51  # a track's times are whole milliseconds

CASES = [f"cases/{name}" for name in clips.CASES]
FILES = [f"more/{name}" for name in [*clips.MORE, *clips.MATRICES] if "/" not in name]
LISTS = [f"more/{name}" for name in clips.MORE if name.endswith(".m3u8")] + ["more/hls/joined.m3u8"]
LISTS += [f"cases/{name}.m3u8" for name in clips.STREAMS]
MANIFESTS = [f"more/{name}" for name in clips.MORE if name.endswith(".mpd")]
REFUSED_BY_CHROMIUM = {"cases/negative.mkv"}  # whose first frames have no times
REFUSED_BY_FIREFOX = {"more/phone.3gp", "cases/hls/list.m3u8"}
MIRRORED = {"cases/mirror_h.mp4", "cases/mirror_v.mp4", "more/left_to_right.mp4", "more/top_to_bottom.mp4"}
MIRRORED |= {"cases/transpose.mp4", "more/transposed.mp4", "more/transposed_other_way.mp4"}


@dataclass(frozen=True)
class MadeTrack:
    """A clip's track: its summary, its film, its masks' times, and its first frame in grey."""

    summary: FinishedTrack
    film: Film
    times: list[int]
    grey: np.ndarray


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("clips")
    clips.make_clips(made)
    return made


@pytest.fixture(scope="module")
def address(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    players = clips.fetch_players(tmp_path_factory.mktemp("npm"))
    with clips.serve_files(folder, players) as found:
        yield found


@pytest.fixture(scope="module")
def track(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], MadeTrack]:
    """The track of a clip, made once."""
    models, made = tmp_path_factory.mktemp("models"), dict[str, MadeTrack]()
    publish(models, Toy(96, 160, rule="stretch"))
    served = open_version(models, "", for_many=True)
    pipeline, aside = make_pipeline(served), ThreadPoolExecutor(1)  # Playwright's event loop has this thread

    def make(name: str) -> MadeTrack:
        if name not in made:
            path = models / f"{len(made)}.mattes"
            job, options = TrackJob(folder / name, path), TrackOptions(fps=1000)
            summary = aside.submit(make_track, job, options, served, pipeline).result()
            with TrackReader(path) as reader, Video(folder / name) as video:
                assert reader.header.film
                grey = next(video.read_frames()).to_grey(Size(32, 32))
                made[name] = MadeTrack(summary, reader.header.film, [entry.pts_ms for entry in reader], grey)
        return made[name]

    return make


@contextmanager
def open_page(name: str, address: str) -> Iterator[object]:
    """A page of one browser for many clips."""
    with browser.open_browser() if name == "Chromium" else open_firefox() as opened:
        page = opened.new_page()
        page.goto(address)
        browser.wait_until(page, "window.ready === true")
        yield page


@pytest.fixture(scope="module")
def chromium_page(address: str) -> Iterator[object]:
    with open_page("Chromium", address) as page:
        yield page


@pytest.fixture(scope="module")
def firefox_page(address: str) -> Iterator[object]:
    with open_page("Firefox", address) as page:
        yield page


def play(page: object, name: str, made: MadeTrack, player: str = "", loops: float = 0) -> dict[str, object]:
    """What a browser announced, on the track's clock; it takes the film for the track's."""
    facts = msgspec.to_builtins(made.film)
    seen = page.evaluate("(words) => play(words)", [f"/clips/{name}", player, facts, made.times, loops])
    assert seen["mismatch"] == ""
    return seen


def find_nearest(times: list[int], ms: float) -> float:
    """How far a time is from the nearest mask's."""
    return float(np.abs(np.array(times) - ms).min())


def compare_pictures(seen: dict[str, object], made: MadeTrack) -> float:
    """The correlation of the first frame in grey, as shown and as read; browsers differ in brightness.

    A browser that shows the picture as it is stored is given the film's position in it.
    """
    shown = np.array(seen["grey"]).reshape(made.grey.shape)
    if seen["stored"]:
        a, b, c, d, e, f = seen["stored"]
        y, x = (np.indices(shown.shape) + 0.5) / len(shown)
        columns, rows = ((one * len(shown)).astype(int) for one in (a * x + c * y + e, b * x + d * y + f))
        shown = shown[rows, columns]
    return float(np.corrcoef(shown.ravel(), made.grey.ravel())[0, 1])


def check_times(seen: dict[str, object], made: MadeTrack, near_ms: float = NEAR_MS) -> None:
    """The browser's frames are the masks', to the millisecond, the first and the last included.

    A frame that playing dropped on a busy machine may be one that a seek doesn't bring in time: one in a hundred.
    """
    played = [max(0.0, ms) for ms in seen["played"]]  # a frame that 0 falls into begins before
    assert max(find_nearest(made.times, ms) for ms in played) <= near_ms
    found = [max(0.0, ms) for ms in [*played, *seen["found"]]]
    missing = [at for at in made.times if min(abs(ms - at) for ms in found) > near_ms]
    assert len(missing) <= len(made.times) // 100
    assert max(found) == pytest.approx(made.times[-1], abs=near_ms)
    assert (min(played) - made.times[0], made.summary.exit_code) == (pytest.approx(0, abs=near_ms), 0)


@pytest.mark.parametrize("name", [*CASES, *FILES])
def test_a_file_is_timed_as_chromium_plays_it(
    name: str, track: Callable[[str], MadeTrack], chromium_page: object
) -> None:
    made = track(name)
    if name in REFUSED_BY_CHROMIUM:
        assert made.times[:2] == [0, 20]
        return
    seen = play(chromium_page, name, made)
    check_times(seen, made)
    assert abs(seen["size"][0] / seen["size"][1] / (made.film.width / made.film.height) - 1) < 0.01
    assert compare_pictures(seen, made) > 0.9, "a different picture, or turned differently"


@pytest.mark.parametrize("player", ["", "hls.js", "shaka-player"])
@pytest.mark.parametrize("name", ["cases/hls/list.m3u8", *LISTS])
def test_hls_is_timed_as_players_show_it(
    name: str, player: str, track: Callable[[str], MadeTrack], chromium_page: object
) -> None:
    if player == "shaka-player" and "rounded" in name:
        pytest.skip("goes by stated lengths, which are rounded to seconds here")
    made = track(name)
    seen = play(chromium_page, name, made, player)
    if player == "shaka-player":  # which counts in milliseconds from the first decoding time
        seen["played"], seen["found"] = (
            [ms - 1 if ms > 0.6 else ms for ms in seen[key]] for key in ("played", "found")
        )
        assert max(find_nearest(made.times, ms) for ms in seen["played"]) <= 2
        return
    check_times(seen, made, 2 * NEAR_MS if player else NEAR_MS)  # a section's start is a whole millisecond, too


@pytest.mark.parametrize("player", ["dash.js", "shaka-player"])
@pytest.mark.parametrize("name", MANIFESTS)
def test_dash_is_timed_as_firefox_plays_it(
    name: str, player: str, track: Callable[[str], MadeTrack], firefox_page: object
) -> None:
    made = track(name)
    seen = play(firefox_page, name, made, player)
    assert max(find_nearest(made.times, ms) for ms in seen["played"]) <= NEAR_MS


@pytest.mark.parametrize("player", ["dash.js", "shaka-player"])
@pytest.mark.parametrize("name", MANIFESTS)
def test_dash_is_timed_as_players_show_it(
    name: str, player: str, track: Callable[[str], MadeTrack], chromium_page: object
) -> None:
    check_times(play(chromium_page, name, track(name), player), track(name))


@pytest.mark.parametrize("name", [name for name in [*CASES, *FILES] if name not in REFUSED_BY_FIREFOX])
def test_a_file_is_timed_as_firefox_plays_it(
    name: str, track: Callable[[str], MadeTrack], firefox_page: object
) -> None:
    if name == "more/cut_before_0.mp4":
        pytest.skip("Firefox counts from frames before the edit's keyframe, which libavformat passes over")
    made = track(name)
    seen = play(firefox_page, name, made)
    # Firefox also shows what an edit list leaves out; after a seek it announces the requested time.
    played = [ms for ms in seen["played"] if ms >= -NEAR_MS]
    assert max(find_nearest(made.times, ms) for ms in played) <= NEAR_MS
    assert min(played) == pytest.approx(made.times[0], abs=NEAR_MS)
    assert max(played) == pytest.approx(made.times[-1], abs=NEAR_MS)
    assert (seen["stored"] is not None) == (name in MIRRORED)
    if name not in {"more/trimmed.mp4", "more/cut_before_0.mp4", "cases/negative.mkv"}:
        assert compare_pictures(seen, made) > 0.9


@pytest.mark.parametrize("player", ["hls.js", "shaka-player"])
@pytest.mark.parametrize("name", ["cases/hls/list.m3u8", *LISTS])
def test_hls_is_timed_as_firefox_plays_it(
    name: str, player: str, track: Callable[[str], MadeTrack], firefox_page: object
) -> None:
    if player == "shaka-player" and "rounded" in name:
        pytest.skip("goes by stated lengths, which are rounded to seconds here")
    made = track(name)
    seen = play(firefox_page, name, made, player)
    played = seen["played"]
    # hls.js seeks over a gap or a stall, such as that before the first frame, and Firefox announces the requested time.
    own = [ms for ms in played[1:] if min((abs(ms - at) for at in seen["sought"]), default=np.inf) > NEAR_MS]
    assert len(played) - len(own) <= 3
    assert max(find_nearest(made.times, ms) for ms in own) <= (2 * NEAR_MS if player == "hls.js" else 2)
    assert -NEAR_MS <= played[0] < made.times[1]
    assert max(own) == pytest.approx(made.times[-1], abs=2)


@pytest.mark.parametrize("name", ["more/plain.mp4", "more/sound_later.mp4", "more/picture_later.webm", "more/late.mp4"])
def test_times_stay_correct_when_firefox_repeats_a_film(
    name: str, track: Callable[[str], MadeTrack], firefox_page: object
) -> None:
    made = track(name)
    played = play(firefox_page, name, made, loops=3.5)["played"]
    assert sum(later < sooner for sooner, later in itertools.pairwise(played)) >= 2
    assert sorted(find_nearest(made.times, ms) for ms in played)[int(0.9 * len(played))] <= NEAR_MS
    assert max(played) <= made.times[-1] + NEAR_MS


def test_times_of_files_that_no_browser_plays_begin_at_the_first_frame(track: Callable[[str], MadeTrack]) -> None:
    for name, count in (("gop30.ts", 100), ("gop250.ts", 100), ("pal.mpg", 100)):
        made = track(f"cases/{name}")
        assert made.times == list(range(0, 40 * count, 40))
        assert made.summary.exit_code == 0
