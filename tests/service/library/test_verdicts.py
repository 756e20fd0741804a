"""The command `danmatte library --assess`: verdicts beside the tracks, from the same decoding."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danmatte.engine import Served
from danmatte.errors import StorageError
from danmatte.library.inventory import Inventory
from danmatte.library.judging import Judging
from danmatte.library.library import Library, Shard, Unit
from danmatte.library.maker import TrackMaker
from danmatte.library.observations import decode_seen, list_seen_names
from danmatte.library.place import open_storage
from danmatte.library.result import UnitResult
from danmatte.models.standalone import open_version
from danmatte.quality.assess import AssessOptions, assess_video
from danmatte.quality.judge import Judge
from danmatte.tracks.batch import TrackOptions
from danmatte.tracks.tally import Tally
from tests.service.library.units import make_library
from tests.service.tracks.videos import empty, walking, write

FPS = 10


def ignore(_: Tally) -> None:
    """Ignore the progress."""


def show(path: Path, pictures: list[np.ndarray]) -> None:
    """Write a video of these pictures, ten per second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, pictures, times_ms=range(0, len(pictures) * 1000 // FPS, 1000 // FPS), gop=25)


@pytest.fixture(scope="module")
def network(judging_models: Path) -> Served:
    return open_version(judging_models, "toy")


@pytest.fixture(scope="module")
def judge(judging_models: Path) -> Judge:
    return Judge.open(judging_models)


class Bench:
    """A library of one video, whose units are made in this process, one after another."""

    def __init__(self, folder: Path, models: Path, served: Served, judge: Judge, **options: Any) -> None:
        self.library: Library = make_library(folder, judging=Judging.choose(models), **options)
        self.target = open_storage(self.library.target)
        self._served, self._judge = served, judge

    def list_units(self, *, parts: int = 1) -> list[tuple[Unit, bool]]:
        size = next(iter(open_storage(self.library.source).list_files())).size_bytes
        divided = replace(self.library, split_bytes=-(-size // parts))
        return list(Inventory(divided, self._served.manifest, Shard()))

    def make(self, unit: Unit, *, judged: bool = True) -> UnitResult:
        library = self.library if judged else replace(self.library, judging=None)
        return TrackMaker(library, self._served, self._judge if judged else None).make(unit, ignore)

    def make_all(self, *, parts: int = 1, judged: bool = True) -> UnitResult:
        """Return the last unit's result."""
        return [self.make(unit, judged=judged) for unit, _ in self.list_units(parts=parts)][-1]

    def read_verdict(self, result: UnitResult) -> dict[str, Any]:
        verdict: dict[str, Any] = json.loads(self.target.read(result.verdict))
        return verdict

    def list_names(self) -> list[str]:
        return [file.name for folder in ("", ".danmatte/parts") for file in self.target.list_files(folder)]


@pytest.fixture
def bench(tmp_path: Path, judging_models: Path, network: Served, judge: Judge) -> Bench:
    show(tmp_path / "videos/a.mp4", walking(40) + empty(40))
    return Bench(tmp_path, judging_models, network, judge)


def test_a_unit_gets_its_verdict_with_its_track(bench: Bench, judge: Judge, tmp_path: Path) -> None:
    result = bench.make_all()
    assert result.state == "made"
    assert bench.list_names() == sorted([result.track, result.verdict])
    verdict = bench.read_verdict(result)
    assert verdict["video"] == "a.mp4"
    assert (verdict["grade"], verdict["score"]) == (result.grade, result.score)
    alone = assess_video(tmp_path / "videos/a.mp4", AssessOptions(), judge)
    assert (verdict["score"], verdict["frames"]) == (alone.score, 80)
    assert [shot["from_ms"] for shot in verdict["shots"]] == [0, 4000]
    assert verdict["people_share"] > 0
    assert [finished for _, finished in bench.list_units()] == [True]


def test_an_existing_track_is_kept_and_gets_the_same_verdict(bench: Bench) -> None:
    before = bench.make_all(judged=False)
    assert before.verdict == ""
    track = bench.target.read(before.track)
    assert [finished for _, finished in bench.list_units()] == [False]
    later = bench.make_all()
    assert (later.state, later.masks, later.track) == ("judged", 0, before.track)
    made = bench.target.read(later.verdict)
    assert bench.target.read(later.track) == track
    bench.target.remove(later.verdict)
    bench.target.remove(later.track)
    assert bench.target.read(bench.make_all().verdict) == made


def test_an_existing_verdict_is_neither_made_again_nor_replaced(bench: Bench) -> None:
    result = bench.make_all()
    bench.target.put(result.verdict, b"another worker's")
    assert bench.make_all().state == "kept"
    bench.target.remove(result.track)
    assert bench.make_all().state == "made"
    assert bench.target.read(result.verdict) == b"another worker's"


@pytest.mark.parametrize("scenes", ["cut", "shot", "still"])
def test_a_video_in_parts_gets_the_verdict_of_the_undivided_video(
    scenes: str, tmp_path: Path, judging_models: Path, network: Served, judge: Judge
) -> None:
    walk = walking(150)
    pictures = {
        "cut": [*walking(70), *empty(100), *walking(80, number=3)],
        "shot": walk + [walk[-1]] * 30 + walking(70),
        "still": walking(1) * 250,
    }
    show(tmp_path / "videos/a.mp4", pictures[scenes])
    bench = Bench(tmp_path, judging_models, network, judge)
    whole = bench.make_all()
    joined = bench.make_all(parts=3)
    assert (joined.state, joined.grade, joined.score) == ("made", whole.grade, whole.score)
    assert bench.target.read(joined.verdict) == bench.target.read(whole.verdict)
    assert bench.list_names() == sorted([whole.track, whole.verdict, joined.track, joined.verdict])
    assert all(finished for _, finished in bench.list_units(parts=3))


def test_parts_made_without_assessment_are_decoded_again_for_their_verdict(bench: Bench) -> None:
    (first, _), (second, _) = bench.list_units(parts=2)
    bench.make(first, judged=False)
    joined = bench.make(second)
    assert (joined.state, joined.grade is not None) == ("made", True)
    whole = bench.make_all()
    assert bench.target.read(joined.verdict) == bench.target.read(whole.verdict)


def test_a_missing_verdict_of_a_joined_track_is_made_by_the_first_unit(bench: Bench) -> None:
    joined = bench.make_all(parts=2, judged=False)
    assert [finished for _, finished in bench.list_units(parts=2)] == [False, True]
    (first, _), (second, _) = bench.list_units(parts=2)
    assert bench.make(second).state == "kept"
    assert (bench.make(first).state, bench.make(first).state) == ("judged", "kept")
    assert joined.track in bench.list_names()


def test_a_verdict_beside_masks_of_regions_has_no_share_of_people(
    tmp_path: Path, judging_models: Path, network: Served, judge: Judge
) -> None:
    show(tmp_path / "videos/a.mp4", walking(20))
    bench = Bench(tmp_path, judging_models, network, judge, options=TrackOptions(regions=("person",)))
    assert bench.read_verdict(bench.make_all())["people_share"] is None


def test_frames_skipped_by_the_frame_rate_are_not_judged(
    tmp_path: Path, judging_models: Path, network: Served, judge: Judge
) -> None:
    show(tmp_path / "videos/a.mp4", walking(20))
    bench = Bench(tmp_path, judging_models, network, judge, options=TrackOptions(fps=5))
    result = bench.make_all()
    assert bench.read_verdict(result)["frames"] == 11
    made = bench.target.read(result.verdict)
    bench.target.remove(result.verdict)
    assert bench.target.read(bench.make_all().verdict) == made


def test_a_different_judge_adds_a_verdict_beside_the_same_track(bench: Bench) -> None:
    first = bench.make_all()
    assert bench.library.judging is not None
    bench.library = replace(bench.library, judging=replace(bench.library.judging, work="another"))
    second = bench.make_all()
    assert (second.state, second.track) == ("judged", first.track)
    assert second.verdict != first.verdict


def test_invalid_observations_of_a_part_are_reported(bench: Bench) -> None:
    for unit, _ in bench.list_units(parts=2)[:1]:
        bench.make(unit)
        assert bench.library.judging is not None
        names = list_seen_names(unit, bench.library.judging.digest(unit.digest))
        assert [bench.target.has(name) for name in names] == [True, False]
    with pytest.raises(StorageError, match="expected the observations of a part"):
        decode_seen(b"nothing", names[0])
