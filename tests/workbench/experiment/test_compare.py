"""Comparisons are cached by graph, precision and set of frames, and repeated if anything differs."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from msgspec import structs

from danmatte.contract.framing import Framing
from danmatte_workbench import dataset
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import Dataset, LabelledFrame
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.experiment import compare
from danmatte_workbench.experiment.compare import (
    COMPARISONS,
    Comparison,
    compare_masks,
    compare_tensors,
    digest_frames,
    keep_masks,
    keep_tensors,
    time_inference,
)
from danmatte_workbench.experiment.store import Workspace
from danmatte_workbench.metrics.agreement import measure_disagreement, measure_top1
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.source import Source
from tests.workbench import tiny
from tests.workbench.conftest import Build
from tests.workbench.facts import HOST, workspace


@pytest.fixture
def made(built: Build) -> Artifact:
    return built(tiny.PLAIN)


def make_comparison(source: Source, data: Dataset, folder: Path) -> Comparison:
    return Comparison(source, data, workspace(folder))


def subject(source: Source, made: Artifact, **changes: object) -> Subject:
    return Subject.from_artifact("float", source, made, configure(**changes))


def count_comparisons(folder: Path) -> int:
    return len(list((folder / "results" / COMPARISONS).glob("*.json")))


def test_scores_are_computed_once_for_all_performance_hints(
    plain: Source, made: Artifact, labelled: Dataset, tmp_path: Path
) -> None:
    one, other = (subject(plain, made, hint=hint) for hint in ("latency", "throughput"))
    first = make_comparison(plain, labelled, tmp_path)
    measured = first.measure(one)
    assert [item.metric for item in measured.measurements][:3] == ["iou_drop", "mean_iou", "boundary_iou"]
    assert {item.metric for item in measured.measurements[3:]} <= {"iou_under_2", "iou_2_to_15", "iou_over_15"}
    assert [item.kind for item in measured.kinds] == ["kind0", "kind1"]
    assert measured.measurements[1].value > 0.9
    assert count_comparisons(tmp_path) == 2  # including the source's
    again = make_comparison(plain, labelled, tmp_path)
    assert again.is_done(other)
    assert again.measure(other) == measured
    assert again.get_seconds(other) > 0
    assert count_comparisons(tmp_path) == 2


def test_a_changed_precision_host_or_mask_changes_the_key(plain: Source, made: Artifact, tmp_path: Path) -> None:
    folder = tiny.write_scenes(tmp_path / "data", 3)
    before = make_comparison(plain, dataset.load(folder), tmp_path)
    known = before.compose_key(subject(plain, made))
    assert before.compose_key(subject(plain, made, precision="bf16")) != known
    newer_host = structs.replace(HOST, features=("avx2", "amx_int8"))
    newer = dataclasses.replace(before, workspace=dataclasses.replace(before.workspace, host=newer_host))
    assert newer.compose_key(subject(plain, made)) != known
    cv2.imwrite(str(folder / "masks/kind0_00.png"), np.zeros((96, 128), np.uint8))
    assert make_comparison(plain, dataset.load(folder), tmp_path).compose_key(subject(plain, made)) != known


def test_without_labels_candidates_are_compared_with_the_sources_masks(
    plain: Source, made: Artifact, tmp_path: Path
) -> None:
    data = dataset.load(tiny.write_scenes(tmp_path / "data", 4, masks=False))
    here = make_comparison(plain, data, tmp_path / "results")
    assert not here.is_done(here.original)
    assert here.measure_source() == ()
    assert here.is_done(here.original)
    (drop,) = here.measure(subject(plain, made)).measurements
    assert (drop.metric, drop.unit) == ("iou_drop", "points")
    assert 0 <= drop.value < 5


def test_losses_are_computed_for_each_frame(plain: Source, made: Artifact, labelled: Dataset, tmp_path: Path) -> None:
    here = make_comparison(plain, labelled.pick(3), tmp_path)
    losses = here.compute_losses(subject(plain, made))
    assert set(losses) == set(labelled.pick(3).names)
    assert all(abs(loss) < 0.2 for loss in losses.values())


def test_a_comparison_that_times_out_is_not_stored(
    plain: Source, made: Artifact, labelled: Dataset, tmp_path: Path
) -> None:
    hasty = Comparison(plain, labelled, workspace(tmp_path, time_s=0.01))
    with pytest.raises(MachineError, match="compare_masks: timed out after"):
        hasty.measure(subject(plain, made))
    assert not hasty.is_done(subject(plain, made))


class KnownOutputs:
    """A subject with known outputs on each frame."""

    def __init__(self, *tensors: np.ndarray) -> None:
        self.given = tensors
        self.kinds = tuple("scores" if tensor.ndim == 2 else "tensor" for tensor in tensors)
        self.framing = Framing((4, 4))

    def predict_tensors(self, frames: Iterable[LabelledFrame]) -> Iterable[tuple[LabelledFrame, tuple]]:
        return ((frame, tuple(tensor * (number + 1) for tensor in self.given)) for number, frame in enumerate(frames))

    def predict_masks(self, frames: Iterable[LabelledFrame]) -> Iterable[tuple[LabelledFrame, np.ndarray]]:
        return (
            (frame, np.arange(frame.pixels[..., 0].size).reshape(frame.pixels.shape[:2]) % 3 == 0) for frame in frames
        )

    def load_all(self) -> Callable[[np.ndarray], tuple]:
        return lambda picture: ()


RNG = np.random.default_rng(4)
SCORES, MAP = RNG.normal(size=(1, 10)).astype(np.float32), RNG.normal(size=(1, 4, 4, 2)).astype(np.float32)


def test_tensors_are_compared_with_the_stored_tensors_of_the_source(labelled: Dataset, tmp_path: Path) -> None:
    data, truth = labelled.pick(4), tmp_path / "new/truth.npz"
    keep_tensors(KnownOutputs(SCORES, MAP), data, truth)
    same = compare_tensors(KnownOutputs(SCORES, MAP), data, truth)
    assert [score.name for score in same] == list(data.names)
    other = compare_tensors(KnownOutputs(SCORES, -MAP), data, truth)
    lost = [measure_disagreement(scores, "disagreement", HOST).value for scores in (same, other)]
    assert lost[0] == pytest.approx(0, abs=1e-6)
    assert lost[1] > 50
    assert [score.samples[0] for score in other] == [score.samples[0] for score in same]
    assert sorted(path.name for path in truth.parent.iterdir()) == ["truth.npz"]


def test_a_source_with_nan_in_an_output_is_refused_and_not_stored(labelled: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="output 0 of the source has NaN or infinity"):
        keep_tensors(KnownOutputs(np.full_like(SCORES, np.nan)), labelled.pick(2), tmp_path / "truth.npz")
    assert not (tmp_path / "truth.npz").exists()


def test_top1_is_not_measured_for_a_graph_without_scores(labelled: Dataset, tmp_path: Path) -> None:
    data, truth = labelled.pick(2), tmp_path / "truth.npz"
    keep_tensors(KnownOutputs(MAP), data, truth)
    assert measure_top1(compare_tensors(KnownOutputs(MAP), data, truth), "top1", HOST) is None


def test_stored_masks_are_read_back_bit_by_bit(labelled: Dataset, tmp_path: Path) -> None:
    data, truth = labelled.pick(4), tmp_path / "truth.npz"
    keep_masks(KnownOutputs(), data, truth)
    scores = compare_masks(KnownOutputs(), data, truth)
    assert [score.name for score in scores] == list(data.names)
    assert all(score.iou == 1 and score.truth == score.painted > 0 for score in scores)
    against_labels = compare_masks(KnownOutputs(), data, None)
    assert any(score.iou < 1 for score in against_labels)


def test_the_time_of_an_inference_is_the_fastest_of_several(labelled: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 5.0, 5.0, 7.0, 7.0, 10.0])
    monkeypatch.setattr(compare, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    assert time_inference(KnownOutputs(), labelled.pick(3)) == 2


def test_a_tensor_source_is_not_measured_and_does_not_disagree_with_itself(
    plain: Source, made: Artifact, labelled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workspace, "isolate", lambda self, function, *given, **_: function(*given))
    tensors = dataclasses.replace(plain, meaning="tensors", answers=("ArgMax:0",))
    here = make_comparison(tensors, labelled.pick(3), tmp_path)
    assert here.uses_own_answers
    assert here.measure_source() == ()
    assert here.is_done(here.original)
    assert here.compute_losses(here.original) == {}
    (found,) = here.measure(dataclasses.replace(here.original, name="again", digest="b" * 64)).measurements
    assert (found.metric, found.value) == ("disagreement", 0)


def test_a_candidate_with_fewer_outputs_than_the_source_is_refused(labelled: Dataset, tmp_path: Path) -> None:
    truth = tmp_path / "truth.npz"
    keep_tensors(KnownOutputs(SCORES, MAP), labelled.pick(2), truth)
    with pytest.raises(InputError, match="expected 2 tensors as the source gives, found 1"):
        compare_tensors(KnownOutputs(SCORES), labelled.pick(2), truth)


def test_each_set_of_frames_is_digested_once_for_all_comparisons(
    plain: Source, made: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dataset.load(tiny.write_scenes(tmp_path / "data", 6, masks=False))
    here = Comparison(plain, data.pick(3), workspace(tmp_path / "results"), data)
    read: list[int] = []

    def digest(frames: Dataset) -> str:
        read.append(len(frames))
        return digest_frames(frames)

    monkeypatch.setattr(compare, "digest_frames", digest)
    here.measure_source()
    for precision in ("f32", "bf16"):
        here.measure(subject(plain, made, precision=precision))
    assert sorted(read) == [3, 6]


def test_stored_masks_that_cannot_be_written_are_reported_as_a_machine_error(
    labelled: Dataset, tmp_path: Path, plain: Source
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"answers\.npz: can't be written"):
        keep_masks(Subject.from_source(plain), labelled.pick(1), tmp_path / "file" / "answers.npz")
