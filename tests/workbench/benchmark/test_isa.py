"""Graphs under older instruction sets."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from danmatte.contract.framing import Framing
from danmatte.contract.measurement import Measurement
from danmatte_workbench.benchmark import isa
from danmatte_workbench.benchmark.isa import NATIVE, IsaJob, IsaPoint, IsaWorker, measure_isa_levels
from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.runtimes.isa_levels import USUAL, find_highest, is_within, list_missing, name_family
from danmatte_workbench.source import Source
from tests.workbench import inner, tiny
from tests.workbench.conftest import Build
from tests.workbench.facts import measured

ONE = configure(streams=1, threads=1, infer_requests=1)
OLDER = [level for level in USUAL if not list_missing(level) and level != find_highest()]
ABSENT = [level for level in USUAL if list_missing(level)]
AGES = 3600.0


def quiet(_: str) -> None:
    """Ignore the text."""


def at(points: tuple[IsaPoint, ...], level: str) -> IsaPoint:
    (found,) = (point for point in points if point.isa == level)
    return found


def metrics(point: IsaPoint) -> dict[str, Measurement]:
    return {item.metric: item for item in point.measurements}


@pytest.fixture
def subject(plain: Source, built: Build) -> Subject:
    return Subject.from_artifact("float", plain, built(tiny.PLAIN), ONE)


@pytest.fixture
def unlabelled(labelled: Dataset) -> Dataset:
    bare = (dataclasses.replace(file, labelled=False) for file in labelled.files)
    return Dataset(tuple(bare))


@pytest.mark.skipif(not OLDER, reason="this CPU has no older level")
def test_an_older_level_takes_effect_and_is_measured_beside_native(subject: Subject, labelled: Dataset) -> None:
    reported: list[str] = []
    points = measure_isa_levels([subject], labelled, budget_s=AGES, report=reported.append, levels=[OLDER[0], *ABSENT])
    home, older = at(points, NATIVE), at(points, OLDER[0])
    assert set(metrics(home)) == {"throughput", "latency", "mean_iou"}
    assert set(metrics(older)) == {"throughput", "latency", "ratio", "mean_iou", "iou_drop"}
    assert older.honoured
    assert is_within(older.effective, OLDER[0])
    assert home.effective == find_highest()
    assert abs(metrics(older)["iou_drop"].value) < 1  # float32 on any CPU
    assert older.to_json()["measurements"]["throughput"]["unit"] == "frames/s"
    assert len(reported) == len(points)


@pytest.mark.skipif(not OLDER, reason="this CPU has no older level")
def test_without_true_masks_a_level_is_compared_with_the_masks_of_native(subject: Subject, unlabelled: Dataset) -> None:
    points = measure_isa_levels([subject], unlabelled, budget_s=AGES, report=quiet, levels=OLDER[:1])
    assert set(metrics(at(points, NATIVE))) == {"throughput", "latency"}
    drop = metrics(at(points, OLDER[0]))["iou_drop"]
    assert 0 <= drop.value < 1
    assert drop.samples == len(unlabelled)


@pytest.mark.skipif(not OLDER, reason="this CPU has no older level")
def test_levels_of_a_tensor_graph_are_compared_by_disagreement(subject: Subject, unlabelled: Dataset) -> None:
    points = measure_isa_levels([subject], unlabelled, budget_s=AGES, report=quiet, meaning="tensors", levels=OLDER[:1])
    assert metrics(at(points, OLDER[0]))["disagreement"].value < 0.1


@pytest.mark.skipif(not ABSENT, reason="this CPU has every level")
def test_levels_that_this_cpu_lacks_are_listed_as_skipped(subject: Subject, unlabelled: Dataset) -> None:
    points = measure_isa_levels([subject], unlabelled, budget_s=AGES, report=quiet, levels=ABSENT[-1:])
    skipped = at(points, ABSENT[-1])
    assert skipped.measurements == ()
    assert skipped.note.startswith("skipped: this CPU has no ")
    assert skipped.to_json()["measurements"] == {}


@pytest.mark.skipif(find_highest() is None, reason="oneDNN has no levels for this CPU")
def test_the_highest_level_equals_native_and_is_not_measured_again(subject: Subject, unlabelled: Dataset) -> None:
    reported: list[str] = []
    points = measure_isa_levels(
        [subject], unlabelled, budget_s=AGES, report=reported.append, levels=[str(find_highest())]
    )
    assert [point.isa for point in points] == [NATIVE]
    assert any("see native" in line for line in reported)


@pytest.mark.skipif(not OLDER, reason="this CPU has no older level")
def test_levels_for_which_no_time_remains_are_noted_as_not_measured(subject: Subject, unlabelled: Dataset) -> None:
    points = measure_isa_levels([subject], unlabelled, budget_s=0.1, report=quiet, levels=OLDER[:1])
    assert metrics(at(points, NATIVE))
    assert at(points, OLDER[0]).note.startswith("not measured: it takes ")


@pytest.mark.skipif(not OLDER, reason="this CPU has no older level")
def test_a_graph_that_finds_no_people_is_timed_without_an_iou_drop(tmp_path: Path, unlabelled: Dataset) -> None:
    subject = Subject("blind", "openvino", blind(tmp_path), Framing((65, 65)), grid=None, configuration=ONE)
    points = measure_isa_levels([subject], unlabelled, budget_s=AGES, report=quiet, levels=OLDER[:1])
    older = at(points, OLDER[0])
    assert "ratio" in metrics(older)
    assert "iou_drop" not in metrics(older)
    assert "finds no people" in older.note


def blind(folder: Path) -> Path:
    """A graph whose output is 0 everywhere."""
    import openvino as ov
    from openvino import opset13 as ops

    from danmatte_workbench.runtimes import openvino

    model = openvino.read(inner.write(folder / "graph.xml").path)
    output = model.output(0).get_node().input_value(0)
    nothing = ops.multiply(output, np.zeros((1, 1, 1, 1), np.float32))
    return openvino.save(ov.Model([ops.result(nothing)], model.get_parameters(), "blind"), folder / "blind.xml").path


def test_an_unknown_level_and_a_graph_that_is_no_ir_are_refused(subject: Subject, unlabelled: Dataset) -> None:
    with pytest.raises(InputError, match=r"received AVX521_CORE; did you mean 'AVX512_CORE'\?"):
        measure_isa_levels([subject], unlabelled, budget_s=1, report=quiet, levels=["AVX521_CORE"])
    frozen = dataclasses.replace(subject, engine="tensorflow", path=Path("graph.pb"))
    with pytest.raises(InputError, match=r"float: expected an IR, received graph\.pb"):
        measure_isa_levels([frozen], unlabelled, budget_s=1, report=quiet)


def test_level_families_are_named_as_in_kernel_names() -> None:
    assert [name_family(level) for level in USUAL] == ["avx2", "avx512", "avx512", "avx512", "amx"]


def test_a_point_is_formatted_as_one_line_with_its_note() -> None:
    point = IsaPoint("AVX2", "float", "avx512", (measured("throughput", 5),), honoured=False, note="windows disagree")
    assert str(point) == "float at AVX2: avx512, throughput 5 u [5, 5], windows disagree"
    assert str(IsaPoint("AVX2", "float", note="skipped")) == "float at AVX2: skipped"
    assert point.to_json() == {
        "isa": "AVX2",
        "who": "float",
        "effective": "avx512",
        "honoured": False,
        "measurements": {"throughput": {"value": 5, "low": 5, "high": 5, "unit": "u", "samples": 5}},
        "note": "windows disagree",
    }


@pytest.mark.parametrize(
    ("kind", "first"), [("scores", "both"), ("masks", "bits"), ("tensors", "array")], ids=["scores", "masks", "tensors"]
)
def test_a_worker_returns_the_outputs_that_its_kind_of_comparison_needs(
    subject: Subject, labelled: Dataset, kind: str, first: str
) -> None:
    data = labelled.pick(3)
    worker = IsaWorker(IsaJob(subject, data, kind))  # type: ignore[arg-type]
    outputs = worker("answers")
    assert len(outputs) == 3  # type: ignore[arg-type]
    if kind == "scores":
        assert [score.name for score in outputs] == list(data.names)  # type: ignore[union-attr]
        assert all(getattr(score, first) >= 0 for score in outputs)  # type: ignore[union-attr]
    elif kind == "masks":
        masks = {frame.name: mask for frame, mask in subject.predict_masks(data)}
        for name, shape, bits in outputs:  # type: ignore[union-attr]
            assert (np.unpackbits(bits, count=masks[name].size).reshape(shape) == masks[name]).all()
    else:
        assert {tensors[0].shape for tensors in outputs} == {(1, 33, 33, 1)}  # type: ignore[union-attr]
    assert worker("window").frames_per_s > 0  # type: ignore[union-attr]
    assert worker("kernels").names  # type: ignore[union-attr]


def test_only_child_processes_of_an_older_level_set_onednn_max_cpu_isa(
    subject: Subject, labelled: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, str]] = []
    monkeypatch.setattr(isa, "Child", lambda name, *_, environment: started.append({"name": name, **environment}))
    case = isa._LeveledSubject(IsaJob(subject, labelled, "scores"))
    case.start_child(NATIVE)
    case.start_child("AVX2")
    assert started == [{"name": "float at native"}, {"name": "float at AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}]
