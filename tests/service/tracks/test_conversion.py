"""Conversion from one format to another and back."""

from pathlib import Path

import numpy as np
import pytest

from danmatte import cli
from danmatte.frame import Size
from danmatte.tracks import Entry, TrackHeader, TrackReader, TrackWriter
from danmatte.tracks.writer import convert_track

SIZE = Size(18, 32)


def make_track(path: Path) -> Path:
    """Write a track with segments that don't end by time."""
    random = np.random.default_rng(0)
    with TrackWriter(path, TrackHeader(SIZE, "background")) as track:
        for number in range(40):
            track.add(Entry(41 * number + number // 3, random.random(SIZE) < 0.3))
            if number % 7 == 6:
                track.end_segment(10**6)
    return path


@pytest.mark.parametrize(("origin", "between"), [("a.webmask", "b.mattes"), ("a.mattes", "b.webmask")])
def test_a_track_converted_to_a_different_format_and_back_is_unchanged(
    origin: str, between: str, tmp_path: Path
) -> None:
    source = make_track(tmp_path / origin)
    assert convert_track(source, tmp_path / between) == 40
    assert convert_track(tmp_path / between, tmp_path / f"again.{origin}") == 40
    again = (tmp_path / f"again.{origin}").read_bytes()
    assert [segment.start_ms for segment in _segments(source)] == [41 * n + n // 3 for n in range(0, 40, 7)]
    if origin == "a.webmask":  # `.mattes` stores the coverage, too
        assert again == source.read_bytes()
    with TrackReader(source) as one, TrackReader(tmp_path / f"again.{origin}") as other:
        for entry, copy in zip(one, other, strict=True):
            assert entry.pts_ms == copy.pts_ms
            assert np.array_equal(entry.mask, copy.mask)


def _segments(path: Path):
    with TrackReader(path) as track:
        return track.segments


def test_the_convert_command_prints_the_number_of_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = make_track(tmp_path / "a.webmask")
    assert cli.main(["convert", str(source), str(tmp_path / "b.mattes")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'b.mattes'}: 40 masks\n"


@pytest.mark.parametrize(
    ("source", "target"), [("none.webmask", "b.mattes"), ("a.webmask", "a.webmask"), ("a.webmask", "b.mp4")]
)
def test_an_invalid_conversion_is_reported_and_keeps_the_source(
    source: str, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = make_track(tmp_path / "a.webmask").read_bytes()
    assert cli.main(["convert", str(tmp_path / source), str(tmp_path / target)]) == 2
    assert "expected" in capsys.readouterr().err
    assert (tmp_path / "a.webmask").read_bytes() == before


def test_an_interrupted_conversion_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_track(tmp_path / "a.webmask")
    convert_track(source, tmp_path / "whole.mattes")
    read = TrackReader.read_segment

    def break_off(reader: TrackReader, number: int):
        if number == 3:
            raise KeyboardInterrupt
        return read(reader, number)

    with monkeypatch.context() as patched:
        patched.setattr(TrackReader, "read_segment", break_off)
        with pytest.raises(KeyboardInterrupt):
            convert_track(source, tmp_path / "b.mattes")
    assert not (tmp_path / "b.mattes").exists()
    assert convert_track(source, tmp_path / "b.mattes") == 40
    assert (tmp_path / "b.mattes").read_bytes() == (tmp_path / "whole.mattes").read_bytes()
