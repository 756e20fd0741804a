"""Shared code of steps that train; the checkpoint's name contains exactly what the training depends on."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.layers import replace_constant
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.source import Source
from danmatte_workbench.steps import Convert, Cut, Distil, Head, Prune, StepContext, Stride
from danmatte_workbench.steps.base import make_step
from danmatte_workbench.steps.teaching import build_teacher, estimate_teaching_s, find_checkpoint, scale_pieces
from tests.workbench import inner, tiny
from tests.workbench.conftest import Describe

SHORT = Distil(lessons=4, batch=1, frames=3)


@pytest.fixture
def context(plain: Source, labelled: Dataset, tmp_path: Path) -> StepContext:
    return StepContext(plain, labelled, tmp_path / "unfinished")


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return inner.write(tmp_path / "graph.xml").path


def test_the_same_step_has_the_same_checkpoint(context: StepContext, graph: Path) -> None:
    first, second = (find_checkpoint(SHORT, graph, context) for _ in range(2))
    assert first is not None
    assert first == second
    assert (first.parent, first.suffix) == (context.unfinished, ".npz")


@pytest.mark.parametrize("field", ["lessons", "batch", "frames", "seed"])
def test_a_step_with_different_options_has_a_different_checkpoint(
    context: StepContext, graph: Path, field: str
) -> None:
    other = dataclasses.replace(SHORT, **{field: getattr(SHORT, field) + 1})
    assert find_checkpoint(other, graph, context) != find_checkpoint(SHORT, graph, context)


def test_a_different_graph_has_a_different_checkpoint(context: StepContext, graph: Path, tmp_path: Path) -> None:
    model = openvino.read(graph)
    node = next(node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution")
    replace_constant(node, 2 * node.input_value(1).get_node().get_data())
    other = openvino.save(model, tmp_path / "other.xml").path
    assert find_checkpoint(SHORT, other, context) != find_checkpoint(SHORT, graph, context)


def test_different_frames_have_a_different_checkpoint(context: StepContext, graph: Path, tmp_path: Path) -> None:
    from danmatte_workbench import dataset

    few = dataset.load(tiny.write_scenes(tmp_path / "few", 4))
    other = dataclasses.replace(context, calibration=few)
    assert find_checkpoint(SHORT, graph, other) != find_checkpoint(SHORT, graph, context)


def test_without_a_folder_there_is_no_checkpoint(context: StepContext, graph: Path) -> None:
    assert find_checkpoint(SHORT, graph, dataclasses.replace(context, unfinished=None)) is None


@pytest.mark.parametrize(
    ("size", "share", "pieces"),
    [
        ((513, 513), 0.625, (321, 321)),
        ((513, 513), 0.5, (257, 257)),
        ((65, 129), 0.5, (33, 65)),
        ((33, 33), 0.1, (33, 33)),
    ],
)
def test_pieces_are_a_multiple_of_the_stride_plus_one_pixel(
    size: tuple[int, int], share: float, pieces: tuple[int, int]
) -> None:
    assert scale_pieces(size, share) == pieces


def test_a_context_gives_pictures_of_the_requested_size(context: StepContext) -> None:
    assert [picture.shape for picture in context.pictures(3)] == [(1, 65, 65, 3)] * 3
    assert [picture.shape for picture in context.pictures(2, (33, 49))] == [(1, 33, 49, 3)] * 2
    assert len(context.pictures(999)) == len(context.calibration)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("lessons", 0, "expected a whole number of at least 1, found 0"),
        ("batch", 1.5, "expected a whole number of at least 1, found 1.5"),
        ("frames", True, "expected a whole number of at least 1, found True"),
        ("rate", 0, "expected a number above 0 and up to 1, found 0"),
        ("share", 1.1, "expected a number above 0 and up to 1, found 1.1"),
        ("eight_bits", -0.1, "expected a share from 0 to 1, found -0.1"),
        ("truth", 2, "expected a share from 0 to 1, found 2"),
        ("features", -1, "expected a number of at least 0, found -1"),
        ("features", float("nan"), "expected a number of at least 0, found nan"),
    ],
)
def test_an_invalid_field_of_distil_is_reported(field: str, value: object, says: str) -> None:
    with pytest.raises(InputError, match=f"^distil: {field}: {says}$"):
        Distil(**{field: value})  # type: ignore[arg-type]


def test_the_output_of_the_teacher_is_high_only_at_people(context: StepContext) -> None:
    run = openvino.make_runner_of_all(openvino.compile_model(build_teacher(context)))
    frame = next(iter(context.calibration))
    (answer,) = run(context.source.framing.fit_exactly(frame.pixels))
    assert answer.shape == (1, 33, 33, 1)
    assert 0 <= answer.min() < 0.5 < answer.max() <= 1


def test_the_estimate_of_lessons_counts_only_pieces_and_frames_that_are_used() -> None:
    step = Distil(lessons=100, batch=2, share=0.5, frames=10)
    assert estimate_teaching_s(step, 50, 0.1) == pytest.approx(30 + (10 + 1.5 * 50) * 0.1)
    assert step.estimate_s(4, 0.1) == pytest.approx(30 + (4 + 1.5 * 50) * 0.1)


@pytest.mark.parametrize("stages", [0, -1, 1.0, True])
def test_an_invalid_number_of_stages_is_reported(stages: object) -> None:
    with pytest.raises(InputError, match=r"^prune: stages: expected a whole number of at least 1, found"):
        Prune(share=0.3, stages=stages)  # type: ignore[arg-type]


def test_the_note_of_a_cut_names_its_places(describe: Describe, context: StepContext, tmp_path: Path) -> None:
    step = make_step("cut", {}, context.source)
    assert isinstance(step, Cut)
    _, note = step.apply(context.source.path, tmp_path / "cut.xml", context)
    assert note == "0:MobilenetV2/Conv/Conv2D … ArgMax"


def test_the_note_of_a_head_names_class_and_size(context: StepContext, tmp_path: Path) -> None:
    cut = make_step("cut", {}, context.source).apply(context.source.path, tmp_path / "cut.xml", context)[0]
    _, note = Head(1).apply(cut.path, tmp_path / "head.xml", context)
    assert note == "class 1 at (33, 33)"


def test_undoing_a_stride_is_refused_for_a_graph_at_its_trained_stride(context: StepContext, tmp_path: Path) -> None:
    cut = make_step("cut", {}, context.source).apply(context.source.path, tmp_path / "cut.xml", context)[0]
    with pytest.raises(InputError, match=r"^stride: expected an output stride below 2, found 2$"):
        Stride(trained_at=2).apply(cut.path, tmp_path / "stride.xml", context)
    _, note = Stride(trained_at=4).apply(cut.path, tmp_path / "stride.xml", context)
    assert note == "features 33×33 became 17×17"


def test_a_converted_graph_gives_the_outputs_of_the_source_for_bytes(context: StepContext, tmp_path: Path) -> None:
    from danmatte_workbench.runtimes import tensorflow

    step = make_step("convert", {}, context.source)
    assert isinstance(step, Convert)
    artifact, note = step.apply(context.source.path, tmp_path / "whole.xml", context)
    assert note == "input (1, 65, 65, 3)"
    picture = tiny.scene(3, 65, 65)[0][None]
    ours = openvino.make_runner(artifact.path, openvino.F32)(picture)
    theirs = tensorflow.make_runner(context.source.path, feed=context.source.picture, fetch=context.source.answer)(
        picture
    )
    assert (ours == theirs).mean() > 0.999
    assert np.ptp(theirs) > 0
