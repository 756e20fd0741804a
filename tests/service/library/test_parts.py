"""Long videos in parts: where they are divided, and that the joined track equals the undivided one."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.engine import Served
from danmatte.errors import StorageError
from danmatte.frame import Size
from danmatte.library.borders import find_span
from danmatte.library.inventory import Inventory
from danmatte.library.library import Library, Shard, Unit, make_units
from danmatte.library.maker import TrackMaker
from danmatte.library.parts import decode_part, name_part
from danmatte.library.storage import StoredFile
from danmatte.tracks import Entry, TrackReader
from danmatte.tracks.selection import Span, TrackPlan
from danmatte.video.reader import Video
from tests.service.library.units import make_library
from tests.service.tracks.videos import empty, walking, write

PLAN = TrackPlan(Size(180, 320))
FPS = 10


def show(path: Path, *scenes: list[np.ndarray]) -> Path:
    """Write a video of these scenes, with ten frames per second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [picture for scene in scenes for picture in scene]
    times = range(0, len(pictures) * 1000 // FPS, 1000 // FPS)
    return write(path, pictures, times_ms=times, gop=25)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of thirty seconds with cuts at 12 and at 22 seconds."""
    return show(tmp_path_factory.mktemp("cuts") / "a.mp4", walking(120), empty(100), walking(80, number=3))


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of thirty seconds without a cut: a person walks, stands, and walks on."""
    moved, still = walking(150), walking(1) * 60
    return show(tmp_path_factory.mktemp("shot") / "a.mp4", moved, still, walking(90))


def make(library: Library, served: Served, units: list[Unit]) -> list[Entry]:
    """Return the track of a video whose units are made in this order."""
    maker = TrackMaker(library, served)
    results = [maker.make(unit, lambda _: None) for unit in units]
    assert [result.track != "" for result in results] == [False] * (len(units) - 1) + [True]
    with TrackReader(Path(library.target) / results[-1].track) as track:
        assert results[-1].masks == len(list(track))
        return list(track)


def divide(library: Library, manifest: Manifest, parts: int) -> list[Unit]:
    size = next(Path(library.source).iterdir()).stat().st_size
    divided = replace(library, split_bytes=-(-size // parts))
    return [unit for unit, _ in Inventory(divided, manifest, Shard())]


def compare(one: list[Entry], other: list[Entry]) -> list[float]:
    """Return the IoU of each pair of masks; 1 if both are empty."""
    assert [entry.pts_ms for entry in one] == [entry.pts_ms for entry in other]
    pairs = [(first.mask, second.mask) for first, second in zip(one, other, strict=True)]
    return [float((a & b).sum() / (a | b).sum()) if (a | b).any() else 1.0 for a, b in pairs]


def test_parts_begin_at_cuts_without_gaps_between_them(scenes: Path) -> None:
    units = [Unit("a.mp4", 0, "", "", number, 3) for number in range(3)]
    with Video(scenes) as video:
        spans = [find_span(video, PLAN, unit) for unit in units]
    assert [(span.start_ms, span.end_ms) for span in spans if span] == [(0, 12_000), (12_000, 22_000), (22_000, None)]


def test_without_a_cut_a_part_ends_where_the_search_for_a_cut_ends(shot: Path) -> None:
    with Video(shot) as video:
        spans = [find_span(video, PLAN, Unit("a.mp4", 0, "", "", number, 3)) for number in range(3)]
    assert spans == [Span(0, 20_000), Span(20_000, None, 10_000), None]


def test_a_video_of_unknown_length_is_not_divided(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Video, "end_ms", None)
    with Video(scenes) as video:
        spans = [find_span(video, PLAN, Unit("a.mp4", 0, "", "", number, 2)) for number in range(2)]
    assert spans == [Span(), None]


def test_parts_divided_at_cuts_join_to_the_undivided_track_bit_for_bit(
    scenes: Path, toy: Served, toy_manifest: Manifest, tmp_path: Path
) -> None:
    library = replace(make_library(tmp_path), source=str(scenes.parent))
    whole = make(library, toy, divide(library, toy_manifest, 1))
    joined = make(library, toy, divide(library, toy_manifest, 3))
    assert compare(whole, joined) == [1.0] * 300
    flags = [[(entry.cut, entry.held, entry.keyframe) for entry in track] for track in (whole, joined)]
    assert flags[0] == flags[1]
    tracks = sorted(Path(library.target).glob("*.mattes"))
    assert len(tracks) == 2
    assert tracks[0].read_bytes() == tracks[1].read_bytes()
    assert not list(Path(library.target).rglob("*.part"))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[1:4])
def test_parts_can_be_made_in_any_order(
    scenes: Path, toy: Served, toy_manifest: Manifest, tmp_path: Path, order: tuple[int, ...]
) -> None:
    library = replace(make_library(tmp_path), source=str(scenes.parent))
    units = divide(library, toy_manifest, 3)
    assert len(make(library, toy, [units[at] for at in order])) == 300


def test_parts_divided_without_a_cut_join_to_almost_the_undivided_masks(
    shot: Path, toy: Served, toy_manifest: Manifest, tmp_path: Path
) -> None:
    library = replace(make_library(tmp_path), source=str(shot.parent))
    whole = make(library, toy, divide(library, toy_manifest, 1))
    joined = make(library, toy, divide(library, toy_manifest, 2))
    assert min(compare(whole, joined)) >= 0.995


def test_complete_parts_that_were_never_joined_are_joined_by_the_next_run(
    scenes: Path, toy: Served, toy_manifest: Manifest, tmp_path: Path
) -> None:
    library = replace(make_library(tmp_path), source=str(scenes.parent))
    units = divide(library, toy_manifest, 2)
    library = replace(library, split_bytes=units[0].size_bytes // 2 + 1)
    maker = TrackMaker(library, toy)
    maker.make(units[0], lambda _: None)
    assert [done for _, done in Inventory(library, toy_manifest, Shard())] == [True, False]
    maker._make_part(units[1], lambda _: None)  # and is killed before joining
    assert [done for _, done in Inventory(library, toy_manifest, Shard())] == [False, True]
    assert maker.make(units[0], lambda _: None).track
    assert [done for _, done in Inventory(library, toy_manifest, Shard())] == [True, True]


def test_large_videos_are_divided_by_size_but_streams_and_playlists_are_not() -> None:
    file = StoredFile("a.mp4", 1000, "etag")
    assert [unit.part for unit in make_units(file, "work", 400)] == ["1 of 3", "2 of 3", "3 of 3"]
    assert {unit.digest for unit in make_units(file, "work", 400)} != {make_units(file, "work", 1000)[0].digest}
    assert len({name_part(unit) for unit in make_units(file, "work", 400)}) == 3
    for name, split_bytes in (("a.mp4", 1000), ("a.mp4", 0), ("a.ts", 400), ("a.m3u8", 400)):
        assert len(make_units(file._replace(name=name), "work", split_bytes)) == 1


def test_an_incomplete_part_is_rejected() -> None:
    with pytest.raises(StorageError, match="expected a part"):
        decode_part(b'{"masks": -1}\n', "x.part")
