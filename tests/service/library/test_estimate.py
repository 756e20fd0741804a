"""Estimates of a dry run, which leave hostile videos out."""

import json
from pathlib import Path

import pytest

from danmatte import cli
from danmatte.capacity.capacity import Capacity
from danmatte.contract.manifest import Manifest
from danmatte.library.estimate import Estimate, estimate, probe_videos
from danmatte.library.inventory import Inventory
from danmatte.library.library import Library, Shard
from danmatte.tracks.batch import TrackOptions
from tests.service.capacity.measured import make_capacity
from tests.service.library.poison import poison
from tests.service.library.units import make_library
from tests.service.tracks.videos import walking, write


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Return a library of two videos of 1.6 and 3.2 seconds, with 25 frames per second."""
    for name, count in (("a.mp4", 40), ("b.mkv", 80)):
        (tmp_path / "videos").mkdir(exist_ok=True)
        write(tmp_path / "videos" / name, walking(count))
    return make_library(tmp_path)


def run(library: Library, manifest: Manifest, capacity: Capacity | None = None) -> Estimate:
    return estimate(Inventory(library, manifest, Shard()), capacity)


def test_masks_are_estimated_from_the_length_and_frame_rate_of_each_video(
    library: Library, toy_manifest: Manifest
) -> None:
    found = run(library, toy_manifest)
    assert (found.units, found.kept, found.looked_at) == (2, 0, 2)
    assert found.video_s == pytest.approx(4.8, abs=0.1)
    assert found.masks == pytest.approx(120, abs=2)
    assert found.core_s is None
    assert "no estimate of time and cores: use --capacity" in found.describe()


def test_masks_are_estimated_from_the_requested_frame_rate(tmp_path: Path, toy_manifest: Manifest) -> None:
    (tmp_path / "videos").mkdir()
    write(tmp_path / "videos/a.mp4", walking(50))
    assert run(make_library(tmp_path, options=TrackOptions(fps=5)), toy_manifest).masks == pytest.approx(10, abs=1)


def test_core_time_is_estimated_from_the_measured_frames_nearest_in_size(
    library: Library, toy_manifest: Manifest
) -> None:
    capacity = make_capacity()
    found = run(library, toy_manifest, capacity)
    assert found.frame == "nv12:640x360"
    assert found.per_core_s == pytest.approx(2 * capacity.model_worker(2).per_s / 2, rel=0.01)
    assert found.core_s == pytest.approx(found.masks / found.per_core_s)
    assert "masks per second and core, posted as nv12:640x360" in found.describe()


def test_finished_units_are_left_out_of_the_estimate(library: Library, toy_manifest: Manifest) -> None:
    whole = run(library, toy_manifest)
    ((unit, _), _) = Inventory(library, toy_manifest, Shard())
    track = Path(library.target) / unit.name_track(".mattes")
    track.parent.mkdir()
    track.write_bytes(b"a track")
    left = run(library, toy_manifest)
    assert (left.kept, left.looked_at) == (1, 1)
    assert left.video_s == pytest.approx(3.2, abs=0.1)
    assert left.video_s < whole.video_s


def test_a_large_library_is_estimated_from_a_sample_of_its_videos(tmp_path: Path, toy_manifest: Manifest) -> None:
    video = write(tmp_path / "a.mp4", walking(25)).read_bytes()
    (tmp_path / "videos").mkdir()
    for at in range(50):
        (tmp_path / f"videos/{at:02}.mp4").write_bytes(video)
    found = run(make_library(tmp_path), toy_manifest)
    assert (found.units, found.looked_at) == (50, 20)
    assert found.video_s == pytest.approx(50, rel=0.05)


def test_an_empty_library_gets_no_estimate(tmp_path: Path, toy_manifest: Manifest) -> None:
    (tmp_path / "videos").mkdir()
    found = run(make_library(tmp_path), toy_manifest, make_capacity())
    assert (found.looked_at, found.masks, found.core_s) == (0, 0, None)
    assert found.describe() == "0 units, 0.0 MiB of video; finished before: 0"


def test_probing_skips_files_that_crash_the_decoder_or_are_not_videos(
    library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    poison(tmp_path / "poison", monkeypatch)
    for name in ("crash.mp4", "none.mp4"):
        (tmp_path / "videos" / name).write_bytes(b"no video")
    found = list(probe_videos(library, ["a.mp4", "crash.mp4", "none.mp4", "b.mkv"]))
    assert [round(facts.seconds, 1) for facts in found] == [1.6, 3.2]


def test_probing_skips_a_file_on_which_the_decoder_hangs(
    library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    poison(tmp_path / "poison", monkeypatch)
    monkeypatch.setattr("danmatte.library.estimate._PROBE_S", 4.0)
    (tmp_path / "videos/hang.mp4").write_bytes(b"no video")
    found = list(probe_videos(library, ["hang.mp4", "a.mp4"]))
    assert len(found) == 1


def test_an_estimate_is_printed_as_text_and_as_json(
    library: Library, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "capacity.json"
    import msgspec

    from danmatte.contract.command_line import write_json

    write_json(msgspec.to_builtins(make_capacity()), file)
    words = ["library", library.source, library.target, "--models", str(models), "--dry-run", "--capacity", str(file)]
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 units, ")
    assert lines[1] == "left: about 5 s of video, at most 120 masks (estimated from 2 videos)"
    assert lines[2].startswith("at most about 1 s of one core (")
    assert lines[3].startswith("on the ")
    assert cli.main([*words, "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["masks"] == 120
    assert "2 units, " in err
    assert not Path(library.target).exists()


def test_an_invalid_capacity_file_is_reported(
    library: Library, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "capacity.json").write_text("{}")
    words = ["library", library.source, library.target, "--models", str(models), "--dry-run"]
    assert cli.main([*words, "--capacity", str(tmp_path / "capacity.json")]) == 2
    assert "expected a file of `danmatte measure`" in capsys.readouterr().err
