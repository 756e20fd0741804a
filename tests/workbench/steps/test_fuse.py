"""Dense convolutions replace the first blocks and are trained on their outputs."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import IGNORE
from danmatte_workbench.distillation import student, teaching
from danmatte_workbench.distillation.views import LabelledView
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import fusing
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps import Fuse
from tests.workbench import blocks, inner

F32 = configure(precision="f32")


def graph(folder: Path) -> ov.Model:
    return openvino.read(blocks.write(folder / "graph.xml").path)


def view(rng: np.random.Generator) -> LabelledView:
    small = rng.integers(0, 256, (1, 9, 9, 3), np.uint8)
    picture = np.ascontiguousarray(small.repeat(8, axis=1).repeat(8, axis=2)[:, :65, :65])
    return LabelledView(picture, np.full((65, 65), IGNORE, np.uint8))


def kinds(model: ov.Model) -> list[str]:
    return [node.get_type_name() for node in model.get_ordered_ops() if "Convolution" in node.get_type_name()]


def values(model: ov.Model, names: list[str], picture: np.ndarray) -> list[np.ndarray]:
    run = ov.compile_model(fusing.extract_nodes(model.clone(), names), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answers = run(picture)
    return [answers[number].copy() for number in range(len(names))]


def test_fusing_makes_the_first_blocks_dense_and_keeps_the_rest(tmp_path: Path) -> None:
    model = graph(tmp_path)
    pairs = fusing.fuse(model, (8, 24), (20,), 1)
    assert kinds(model) == ["Convolution"] * 6 + ["GroupConvolution"] + ["Convolution"] * 3
    assert [pair.student == pair.teacher for pair in pairs] == [False, True]  # the second ends in a sum, which is kept
    saved = openvino.save(model, tmp_path / "fused.xml")
    assert saved.outputs[0].shape == (1, 17, 17, 1)


def test_training_brings_fused_blocks_close_to_the_original_outputs(tmp_path: Path) -> None:
    model = graph(tmp_path)
    teacher = model.clone()
    pairs = fusing.fuse(model, (16, 32), (32,), 1)
    smaller = fusing.extract_nodes(model.clone(), [pair.student for pair in pairs])
    whole = fusing.extract_nodes(teacher.clone(), [pair.teacher for pair in pairs])
    plan = teaching.Distillation(300, 4, 0.5, 1.0, 0.0, 0.0, 1, answering=False)

    def error() -> float:
        seen = view(np.random.default_rng(99)).picture
        mine = values(model, [pair.student for pair in pairs], seen)
        right = values(teacher, [pair.teacher for pair in pairs], seen)
        return float(np.mean([np.square(a - b).mean() / b.var() for a, b in zip(mine, right, strict=True)]))

    before = error()
    weights, note = teaching.teach(smaller, whole, view, plan, None, pairs)
    student.write_weights(model, weights)
    assert error() < 0.4 * min(1.0, before)
    assert note.startswith("300 steps of 4 views, 2 inner maps")


def test_ends_of_blocks_are_found_in_a_fused_graph(tmp_path: Path) -> None:
    model = graph(tmp_path)
    teacher = model.clone()
    fusing.fuse(model, (8, 24), (20,), 1)
    fused = openvino.read(openvino.save(model, tmp_path / "fused.xml").path)
    pairs = fusing.pair_block_ends(fused, teacher)
    shapes = {node.get_friendly_name(): list(node.get_output_shape(0)) for node in teacher.get_ordered_ops()}
    assert [shapes[pair.teacher] for pair in pairs] == [[1, 12, 17, 17], [1, 12, 17, 17], [1, 16, 17, 17]]


def test_a_graph_of_larger_stride_is_paired_with_every_second_position(tmp_path: Path) -> None:
    teacher = openvino.read(blocks.write(tmp_path / "fine.xml", stride=1).path)
    coarse = openvino.read(blocks.write(tmp_path / "coarse.xml", stride=2).path)
    assert [pair.step for pair in fusing.pair_block_ends(coarse, teacher)] == [1, 2, 2, 2]


@pytest.mark.parametrize(("stem", "deep"), [((16, 32, 48), ()), ((16, 32), (8, 8, 8))])
def test_a_graph_with_fewer_blocks_is_refused(tmp_path: Path, stem: tuple[int, ...], deep: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="found 4 blocks"):
        fusing.fuse(graph(tmp_path), stem, deep, 1)


def test_a_graph_without_blocks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a stem of 2 strides and 2 blocks"):
        fusing.fuse(openvino.read(inner.write(tmp_path / "inner.xml").path), (16, 64), (48, 64), 1)


@pytest.mark.parametrize(
    ("field", "value"), [("stem", ()), ("stem", (0,)), ("blocks", ("8",)), ("lessons", 0), ("rate", 0.0), ("share", 2)]
)
def test_invalid_fields_are_reported(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"fuse: {field}: expected"):
        Fuse(**{field: value})  # type: ignore[arg-type]
