"""Writing a track: the file is complete or absent, and finished segments aren't made twice."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.tracks import Entry, TrackHeader, TrackReader, TrackWriter

SIZE = Size(9, 14)
HEADER = TrackHeader(SIZE, "person", "toy", 3)


def entry(number: int) -> Entry:
    """Return an entry; there are two per second."""
    return Entry(500 * number, np.tile(np.arange(14) < number % 15, (9, 1)))


def times(path: Path) -> list[int]:
    with TrackReader(path) as track:
        return [entry.pts_ms for entry in track]


@pytest.mark.parametrize("name", ["a.mattes", "a.webmask"])
def test_a_track_appears_only_when_it_is_complete(name: str, tmp_path: Path) -> None:
    with TrackWriter(tmp_path / name, HEADER) as track:
        track.add(entry(0))
        track.end_segment(25_000)
        assert not (tmp_path / name).exists()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.mattes", "a.webmask"])
def test_a_killed_writer_loses_only_its_unfinished_segment(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    program = f"""
import os
from pathlib import Path
from tests.service.tracks.test_writer import HEADER, entry
from danmatte.tracks import TrackWriter
track = TrackWriter(Path({str(path)!r}), HEADER)
for number in range(50):
    track.add(entry(number))
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    with TrackWriter(path, HEADER) as track:
        assert track.last_pts_ms == 39 * 500
        for number in range(40, 50):
            track.add(entry(number))
    assert times(path) == [500 * number for number in range(50)]


@contextmanager
def room(file_bytes: int) -> Iterator[None]:
    """Limit the size of files, as on a full disk."""
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))


@pytest.mark.parametrize("whole", [False, True], ids=["at a segment", "at the end"])
def test_a_full_disk_is_reported_and_the_track_can_be_resumed(whole: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.mattes"
    track = TrackWriter(path, HEADER)
    for number in range(50):
        track.add(entry(number))
    if whole:
        track.end_segment(25_000)
    with pytest.raises(TrackError, match="expected space for"), track, room(100 if whole else 300):
        track.close()
    assert [each.name for each in tmp_path.iterdir()] == [".a.mattes.part"]
    with TrackWriter(path, HEADER) as track:
        assert track.last_pts_ms is not None
        for number in range(track.last_pts_ms // 500 + 1, 52):
            track.add(entry(number))
    assert times(path) == [500 * number for number in range(52)]


@pytest.mark.parametrize("stem", ["a" * 248, "弹幕" * 41])
def test_a_track_with_the_longest_file_name_can_be_resumed(stem: str, tmp_path: Path) -> None:
    path = tmp_path / f"{stem}.mattes"
    write_interrupted(path)
    with TrackWriter(path, HEADER) as again:
        assert again.last_pts_ms is not None  # finished segments are found again
        again.add(entry(again.last_pts_ms // 500 + 1))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_an_incomplete_segment_at_the_end_is_discarded(tmp_path: Path) -> None:
    write_interrupted(tmp_path / "a.mattes")
    (part,) = tmp_path.iterdir()
    part.write_bytes(part.read_bytes()[:-1])
    with TrackWriter(tmp_path / "a.mattes", HEADER) as again:
        assert again.last_pts_ms == 19 * 500
        again.add(entry(20))


@pytest.mark.parametrize(
    ("header", "job"),
    [(TrackHeader(Size(9, 15), "person", "toy", 3), ""), (TrackHeader(SIZE, "person", "toy", 4), ""), (HEADER, "x")],
)
def test_a_different_header_or_job_starts_a_new_track(header: TrackHeader, job: str, tmp_path: Path) -> None:
    write_interrupted(tmp_path / "a.mattes")
    with TrackWriter(tmp_path / "a.mattes", header, job=job) as track:
        assert track.last_pts_ms is None
        track.add(Entry(0, np.zeros(header.size, np.bool_)))
    assert times(tmp_path / "a.mattes") == [0]


def write_interrupted(path: Path) -> None:
    """Write two complete segments and the start of a third, then leave the writer by an error."""
    with pytest.raises(KeyboardInterrupt):
        begin(path)


def begin(path: Path) -> None:
    with TrackWriter(path, HEADER) as track:
        for number in range(41):
            track.add(entry(number))
        raise KeyboardInterrupt


def test_an_error_keeps_the_complete_segments(tmp_path: Path) -> None:
    write_interrupted(tmp_path / "a.mattes")
    assert not (tmp_path / "a.mattes").exists()
    with TrackWriter(tmp_path / "a.mattes", HEADER) as track:
        assert track.last_pts_ms == 39 * 500


def test_a_second_writer_of_the_same_track_is_rejected(tmp_path: Path) -> None:
    with TrackWriter(tmp_path / "a.mattes", HEADER) as track:
        with pytest.raises(TrackError, match="another one has it open"):
            TrackWriter(tmp_path / "a.mattes", HEADER)
        track.add(entry(0))


def test_a_track_without_masks_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(TrackError, match="at least one mask"), TrackWriter(tmp_path / "a.mattes", HEADER):
        pass
    assert not (tmp_path / "a.mattes").exists()


def test_a_mask_of_a_different_size_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(TrackError, match="expected 14x9"), TrackWriter(tmp_path / "a.mattes", HEADER) as track:
        track.add(Entry(0, np.zeros((14, 9), np.bool_)))


@pytest.mark.parametrize("name", ["a.mp4", "a", "none/a.mattes"])
def test_an_invalid_path_of_a_track_is_rejected(name: str, tmp_path: Path) -> None:
    with pytest.raises(TrackError, match="expected a"):
        TrackWriter(tmp_path / name, HEADER)
