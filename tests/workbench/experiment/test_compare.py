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
from danmatte_workbench.experiment.compare import COMPARISONS, Comparison
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.source import Source
from tests.workbench import tiny
from tests.workbench.conftest import Build
from tests.workbench.facts import HOST, workspace


@pytest.fixture
def made(built: Build) -> Artifact:
    return built(tiny.PLAIN)


def comparing(source: Source, data: Dataset, folder: Path) -> Comparison:
    return Comparison(source, data, workspace(folder))


def subject(source: Source, made: Artifact, **changes: object) -> Subject:
    return Subject.from_artifact("float", source, made, configure(**changes))


def asked(folder: Path) -> int:
    return len(list((folder / "results" / COMPARISONS).glob("*.json")))


def test_scores_are_found_once_whatever_the_hint(
    plain: Source, made: Artifact, labelled: Dataset, tmp_path: Path
) -> None:
    one, other = (subject(plain, made, hint=hint) for hint in ("latency", "throughput"))
    first = comparing(plain, labelled, tmp_path)
    measured = first.measure(one)
    assert [item.metric for item in measured] == ["iou_drop", "mean_iou", "boundary_iou"]
    assert measured[1].value > 0.9
    assert asked(tmp_path) == 2  # the source's own, too
    again = comparing(plain, labelled, tmp_path)
    assert again.is_done(other)
    assert again.measure(other) == measured
    assert again.get_seconds(other) > 0
    assert asked(tmp_path) == 2


def test_other_frames_masks_precisions_and_machines_are_asked_anew(
    plain: Source, made: Artifact, tmp_path: Path
) -> None:
    folder = tiny.write_scenes(tmp_path / "data", 3)
    before = comparing(plain, dataset.load(folder), tmp_path)
    known = before.compose_question(subject(plain, made))
    assert before.compose_question(subject(plain, made, precision="bf16")) != known
    newer_host = structs.replace(HOST, features=("avx2", "amx_int8"))
    newer = dataclasses.replace(before, workspace=dataclasses.replace(before.workspace, host=newer_host))
    assert newer.compose_question(subject(plain, made)) != known
    cv2.imwrite(str(folder / "masks/kind0_00.png"), np.zeros((96, 128), np.uint8))
    assert comparing(plain, dataset.load(folder), tmp_path).compose_question(subject(plain, made)) != known


def test_without_labels_the_sources_own_masks_are_the_truth(plain: Source, made: Artifact, tmp_path: Path) -> None:
    data = dataset.load(tiny.write_scenes(tmp_path / "data", 4, masks=False))
    here = comparing(plain, data, tmp_path / "results")
    assert not here.is_done(here.original)
    assert here.measure_source() == []
    assert here.is_done(here.original)
    (drop,) = here.measure(subject(plain, made))
    assert (drop.metric, drop.unit) == ("iou_drop", "points")
    assert 0 <= drop.value < 5


def test_the_frames_that_lost_most_are_known(plain: Source, made: Artifact, labelled: Dataset, tmp_path: Path) -> None:
    here = comparing(plain, labelled.pick(3), tmp_path)
    losses = here.compute_losses(subject(plain, made))
    assert set(losses) == set(labelled.pick(3).names)
    assert all(abs(loss) < 0.2 for loss in losses.values())


def test_a_comparison_that_takes_too_long_is_not_kept(
    plain: Source, made: Artifact, labelled: Dataset, tmp_path: Path
) -> None:
    hasty = Comparison(plain, labelled, workspace(tmp_path, time_s=0.01))
    with pytest.raises(MachineError, match="compare_masks: not done within"):
        hasty.measure(subject(plain, made))
    assert not hasty.is_done(subject(plain, made))
