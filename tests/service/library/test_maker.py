"""Making one unit, from the source to the target."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from danmatte.contract.manifest import Manifest
from danmatte.engine import Served
from danmatte.errors import StorageError, TrackError
from danmatte.library.inventory import Inventory
from danmatte.library.library import Library, Shard, Unit
from danmatte.library.maker import TrackMaker
from danmatte.library.place import open_storage
from danmatte.tracks import TrackReader
from danmatte.tracks.tally import Tally
from tests.service.library.units import make_library
from tests.service.tracks.videos import empty, walking, write


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Return a video of eight seconds with a cut in the middle."""
    (tmp_path / "videos").mkdir()
    write(tmp_path / "videos/a.mp4", walking(40) + empty(40), times_ms=range(0, 8000, 100))
    return make_library(tmp_path)


def list_units(library: Library, manifest: Manifest, *, parts: int = 1) -> list[Unit]:
    size = (Path(library.source) / "a.mp4").stat().st_size
    divided = replace(library, split_bytes=-(-size // parts))
    return [unit for unit, _ in Inventory(divided, manifest, Shard())]


def ignore(_: Tally) -> None:
    """Ignore the progress."""


def test_a_unit_becomes_a_track_with_the_digest_of_its_video(
    library: Library, toy: Served, toy_manifest: Manifest
) -> None:
    (unit,) = list_units(library, toy_manifest)
    seen = []
    result = TrackMaker(library, toy).make(unit, lambda tally: seen.append(tally.masks))
    assert (result.state, result.masks, result.cuts, result.until_ms) == ("made", 80, 1, 7900)
    assert seen[-1] <= 80
    with TrackReader(Path(library.target) / result.track) as track:
        film = track.header.film
        assert track.header.model == "toy"
    assert film is not None
    assert film.sha256 == open_storage(library.source).compute_digest("a.mp4")
    assert TrackMaker(library, toy).make(unit, ignore).state == "kept"


def test_a_track_joined_from_parts_has_the_header_of_an_undivided_one(
    library: Library, toy: Served, toy_manifest: Manifest
) -> None:
    maker, tracks = TrackMaker(library, toy), []
    for parts in (1, 2):
        results = [maker.make(unit, ignore) for unit in list_units(library, toy_manifest, parts=parts)]
        tracks.append(Path(library.target) / results[-1].track)
        assert results[-1].masks == 80
    with TrackReader(tracks[0]) as whole, TrackReader(tracks[1]) as joined:
        assert joined.header == whole.header
        assert joined.header.film is not None
        assert [segment.start_ms for segment in joined.segments] == [segment.start_ms for segment in whole.segments]


def test_joined_tracks_are_converted_to_the_requested_format(
    library: Library, toy: Served, toy_manifest: Manifest
) -> None:
    library = replace(library, suffix=".webmask")
    results = [TrackMaker(library, toy).make(unit, ignore) for unit in list_units(library, toy_manifest, parts=2)]
    with TrackReader(Path(library.target) / results[-1].track) as track:
        assert track.header.polarity == "background"
        assert len(list(track)) == 80


@pytest.mark.parametrize("parts", [1, 2])
def test_a_truncated_video_gets_a_partial_track_and_a_reason(
    library: Library, toy: Served, toy_manifest: Manifest, parts: int
) -> None:
    path = Path(library.source) / "a.mp4"
    os.truncate(path, path.stat().st_size * 3 // 4)
    results = [TrackMaker(library, toy).make(unit, ignore) for unit in list_units(library, toy_manifest, parts=parts)]
    assert results[-1].state == "broken"
    assert "expected frames until 7940 ms" in results[-1].reason
    assert 40 < results[-1].masks < 80


def test_a_video_that_changes_while_it_is_read_gets_no_track(
    library: Library, toy: Served, toy_manifest: Manifest
) -> None:
    for parts in (1, 2):
        unit = list_units(library, toy_manifest, parts=parts)[0]

        def replace_video(_: Tally, times: tuple[int, int] = (parts, parts)) -> None:
            os.utime(Path(library.source) / "a.mp4", ns=times)

        with pytest.raises(StorageError, match="it has changed"):
            TrackMaker(library, toy).make(unit, replace_video)
    assert list(open_storage(library.target).list_files()) == []


def test_a_track_stored_meanwhile_by_another_worker_is_kept(
    library: Library, toy: Served, toy_manifest: Manifest
) -> None:
    (unit,) = list_units(library, toy_manifest)
    track = Path(library.target) / unit.name_track(".mattes")

    def store_first(_: Tally) -> None:
        track.parent.mkdir(exist_ok=True)
        track.write_bytes(b"another worker's")

    assert TrackMaker(library, toy).make(unit, store_first).state == "kept"
    assert track.read_bytes() == b"another worker's"


def test_an_existing_part_is_not_made_again(library: Library, toy: Served, toy_manifest: Manifest) -> None:
    first, _ = list_units(library, toy_manifest, parts=2)
    maker = TrackMaker(library, toy)
    assert maker.make(first, ignore).state == "made"
    again = maker.make(first, ignore)
    assert (again.state, again.track, again.part) == ("kept", "", "1 of 2")


def test_a_file_that_is_not_a_video_is_rejected(library: Library, toy: Served, toy_manifest: Manifest) -> None:
    (Path(library.source) / "a.mp4").write_bytes(b"nothing")
    (unit,) = list_units(library, toy_manifest)
    with pytest.raises(TrackError, match="expected a video"):
        TrackMaker(library, toy).make(unit, ignore)
