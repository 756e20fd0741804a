"""Comparisons are made once for each graph, precision and set of frames, and anew where anything differs."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec import structs

from danmatte_workbench import dataset
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import MachineError
from danmatte_workbench.experiment.comparison import COMPARISONS, Comparing, Entrant
from danmatte_workbench.experiment.result_cache import Results
from danmatte_workbench.metrics.contender import cooked as contender
from danmatte_workbench.processes.limits import ProcessLimits
from danmatte_workbench.source import Source
from tests.workbench import tiny
from tests.workbench.conftest import Build
from tests.workbench.facts import HOST


@pytest.fixture
def made(built: Build) -> Artifact:
    return built(tiny.PLAIN)


def comparing(source: Source, data: Dataset, folder: Path) -> Comparing:
    return Comparing(source, data, Results(folder), HOST, ProcessLimits(240.0))


def entrant(source: Source, made: Artifact, **changes: object) -> Entrant:
    return Entrant(contender("float", source, made, configure(**changes)), made.digest)


def asked(folder: Path) -> int:
    return len(list((folder / COMPARISONS).glob("*.json")))


def test_scores_are_found_once_whatever_the_hint(
    plain: Source, made: Artifact, labelled: Dataset, tmp_path: Path
) -> None:
    one, other = (entrant(plain, made, hint=hint) for hint in ("latency", "throughput"))
    first = comparing(plain, labelled, tmp_path)
    measured = first.measure(one)
    assert [item.metric for item in measured] == ["iou_drop", "mean_iou", "boundary_iou"]
    assert measured[1].value > 0.9
    assert asked(tmp_path) == 2  # the source's own, too
    again = comparing(plain, labelled, tmp_path)
    assert again.kept(other)
    assert again.measure(other) == measured
    assert again.seconds(other) > 0
    assert asked(tmp_path) == 2


def test_other_frames_masks_precisions_and_machines_are_asked_anew(
    plain: Source, made: Artifact, tmp_path: Path
) -> None:
    folder = tiny.write_scenes(tmp_path / "data", 3)
    before = comparing(plain, dataset.load(folder), tmp_path)
    known = before.question(entrant(plain, made))
    assert before.question(entrant(plain, made, precision="bf16")) != known
    newer = dataclasses.replace(before, host=structs.replace(HOST, features=("avx2", "amx_int8")))
    assert newer.question(entrant(plain, made)) != known
    cv2.imwrite(str(folder / "masks/kind0_00.png"), np.zeros((96, 128), np.uint8))
    assert comparing(plain, dataset.load(folder), tmp_path).question(entrant(plain, made)) != known


def test_without_labels_the_sources_own_masks_are_the_truth(plain: Source, made: Artifact, tmp_path: Path) -> None:
    data = dataset.load(tiny.write_scenes(tmp_path / "data", 4, masks=False))
    here = comparing(plain, data, tmp_path / "results")
    assert not here.kept(here.original)
    assert here.own() == []
    assert here.kept(here.original)
    (drop,) = here.measure(entrant(plain, made))
    assert (drop.metric, drop.unit) == ("iou_drop", "points")
    assert 0 <= drop.value < 5


def test_the_frames_that_lost_most_are_known(plain: Source, made: Artifact, labelled: Dataset, tmp_path: Path) -> None:
    here = comparing(plain, labelled.shuffled(3), tmp_path)
    losses = here.losses(entrant(plain, made))
    assert set(losses) == set(labelled.shuffled(3).names)
    assert all(abs(loss) < 0.2 for loss in losses.values())


def test_a_comparison_that_takes_too_long_is_not_kept(
    plain: Source, made: Artifact, labelled: Dataset, tmp_path: Path
) -> None:
    hasty = Comparing(plain, labelled, Results(tmp_path), HOST, ProcessLimits(0.01))
    with pytest.raises(MachineError, match="compare: not done within"):
        hasty.ask(entrant(plain, made))
    assert not hasty.kept(entrant(plain, made))
