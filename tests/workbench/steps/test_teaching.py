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


def test_the_same_step_finds_its_state_again(context: StepContext, graph: Path) -> None:
    first, second = (find_checkpoint(SHORT, graph, context) for _ in range(2))
    assert first is not None
    assert first == second
    assert (first.parent, first.suffix) == (context.unfinished, ".npz")


@pytest.mark.parametrize("field", ["lessons", "batch", "frames", "seed"])
def test_another_step_starts_anew(context: StepContext, graph: Path, field: str) -> None:
    other = dataclasses.replace(SHORT, **{field: getattr(SHORT, field) + 1})
    assert find_checkpoint(other, graph, context) != find_checkpoint(SHORT, graph, context)


def test_another_graph_starts_anew(context: StepContext, graph: Path, tmp_path: Path) -> None:
    model = openvino.read(graph)
    node = next(node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution")
    replace_constant(node, 2 * node.input_value(1).get_node().get_data())
    other = openvino.save(model, tmp_path / "other.xml").path
    assert find_checkpoint(SHORT, other, context) != find_checkpoint(SHORT, graph, context)


def test_other_frames_start_anew(context: StepContext, graph: Path, tmp_path: Path) -> None:
    from danmatte_workbench import dataset

    few = dataset.load(tiny.write_scenes(tmp_path / "few", 4))
    other = dataclasses.replace(context, calibration=few)
    assert find_checkpoint(SHORT, graph, other) != find_checkpoint(SHORT, graph, context)


def test_without_a_folder_nothing_is_kept(context: StepContext, graph: Path) -> None:
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
def test_pieces_have_whole_strides_and_one_pixel_more(
    size: tuple[int, int], share: float, pieces: tuple[int, int]
) -> None:
    assert scale_pieces(size, share) == pieces


def test_a_context_gives_pictures_of_the_size_asked_for(context: StepContext) -> None:
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
def test_a_wrong_field_of_distil_is_named(field: str, value: object, says: str) -> None:
    with pytest.raises(InputError, match=f"^distil: {field}: {says}$"):
        Distil(**{field: value})  # type: ignore[arg-type]


def test_the_teacher_answers_where_people_are(context: StepContext) -> None:
    run = openvino.make_runner_of_all(openvino.compile_model(build_teacher(context)))
    frame = next(iter(context.calibration))
    (answer,) = run(context.source.framing.fit_exactly(frame.pixels))
    assert answer.shape == (1, 33, 33, 1)
    assert 0 <= answer.min() < 0.5 < answer.max() <= 1


def test_lessons_take_as_long_as_their_pieces_and_no_longer_for_frames_that_are_not_looked_at() -> None:
    step = Distil(lessons=100, batch=2, share=0.5, frames=10)
    assert estimate_teaching_s(step, 50, 0.1) == pytest.approx(30 + (10 + 1.5 * 50) * 0.1)
    assert step.estimate_s(4, 0.1) == pytest.approx(30 + (4 + 1.5 * 50) * 0.1)


@pytest.mark.parametrize("stages", [0, -1, 1.0, True])
def test_a_wrong_number_of_stages_is_named(stages: object) -> None:
    with pytest.raises(InputError, match=r"^prune: stages: expected a whole number of at least 1, found"):
        Prune(share=0.3, stages=stages)  # type: ignore[arg-type]


def test_the_cut_says_where_it_was_made(describe: Describe, context: StepContext, tmp_path: Path) -> None:
    step = make_step("cut", {}, context.source)
    assert isinstance(step, Cut)
    _, note = step.apply(context.source.path, tmp_path / "cut.xml", context)
    assert note == "0:MobilenetV2/Conv/Conv2D … ArgMax"


def test_the_head_says_which_class_is_where(context: StepContext, tmp_path: Path) -> None:
    cut = make_step("cut", {}, context.source).apply(context.source.path, tmp_path / "cut.xml", context)[0]
    _, note = Head(1).apply(cut.path, tmp_path / "head.xml", context)
    assert note == "class 1 at (33, 33)"


def test_a_graph_at_its_own_stride_is_refused(context: StepContext, tmp_path: Path) -> None:
    cut = make_step("cut", {}, context.source).apply(context.source.path, tmp_path / "cut.xml", context)[0]
    with pytest.raises(InputError, match=r"^stride: expected an output stride below 2, found 2$"):
        Stride(trained_at=2).apply(cut.path, tmp_path / "stride.xml", context)
    _, note = Stride(trained_at=4).apply(cut.path, tmp_path / "stride.xml", context)
    assert note == "features 33×33 became 17×17"


def test_a_converted_graph_takes_bytes_as_the_source_does(context: StepContext, tmp_path: Path) -> None:
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
