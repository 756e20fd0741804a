"""A graph learns from another one's answers, without labels; stopped, it goes on where it was."""

import dataclasses
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import BACKGROUND, IGNORE, PERSON
from danmatte_workbench.distillation import student, teaching
from danmatte_workbench.distillation.views import LabelledView
from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes import openvino
from tests.workbench import inner

F32 = configure(precision="f32")
OPTIONS = teaching.Distillation(steps=64, batch=2, rate=0.02, features=0.1, eight_bits=0.25, truth=0.0, seed=1)


def picture(rng: np.random.Generator) -> np.ndarray:
    small = rng.integers(0, 256, (1, 9, 9, 3), np.uint8)
    return np.ascontiguousarray(small.repeat(8, axis=1).repeat(8, axis=2)[:, :65, :65])


def view(rng: np.random.Generator) -> LabelledView:
    return LabelledView(picture(rng), np.full((65, 65), IGNORE, np.uint8))


def bright(rng: np.random.Generator) -> LabelledView:
    """A view whose right answer is where it is bright."""
    seen = picture(rng)
    return LabelledView(seen, np.where(seen[0].mean(axis=2) > 127, PERSON, BACKGROUND).astype(np.uint8))


def graph(folder: Path) -> ov.Model:
    return openvino.read(inner.write(folder / "teacher.xml").path)


def forgetful(folder: Path) -> ov.Model:
    """The same graph with noise on its last kernels."""
    model = graph(folder)
    rng = np.random.default_rng(5)
    for node in model.get_ordered_ops():
        if node.get_type_name() == "GroupConvolution":
            values = node.input_value(1).get_node().get_data()
            noisy = (values + rng.normal(0, 0.3, values.shape)).astype(np.float32)
            node.input(1).replace_source_output(ops.constant(noisy).output(0))
    return model


def disagreement(model: ov.Model, teacher: ov.Model, folder: Path) -> float:
    runs = [
        openvino.make_runner(openvino.save(graph.clone(), folder / f"{number}.xml").path, F32)
        for number, graph in enumerate((model, teacher))
    ]
    rng = np.random.default_rng(99)
    pictures = [picture(rng) for _ in range(4)]
    return float(np.mean([np.abs(runs[0](seen).copy() - runs[1](seen)).mean() for seen in pictures]))


def test_a_graph_as_a_student_answers_as_it_did(tmp_path: Path) -> None:
    model = graph(tmp_path)
    seen = picture(np.random.default_rng(1))
    (logits,) = student.Student(model)(seen)
    run = openvino.make_runner(tmp_path / "teacher.xml", F32)
    assert 1 / (1 + np.exp(-logits.numpy())) == pytest.approx(run(seen), abs=1e-5)


def test_it_learns_what_its_teacher_answers(tmp_path: Path) -> None:
    model, teacher = forgetful(tmp_path), graph(tmp_path)
    before = disagreement(model, teacher, tmp_path)
    weights, note = teaching.teach(model, teacher, view, OPTIONS, None)
    student.write_weights(model, weights)
    assert disagreement(model, teacher, tmp_path) < 0.5 * before
    assert note.startswith("64 steps of 2 views")


def test_masks_outweigh_the_teacher_where_they_are_known(tmp_path: Path) -> None:
    def agreement(model: ov.Model) -> float:
        run = openvino.make_runner(openvino.save(model.clone(), tmp_path / "asked.xml").path, F32)
        views = [bright(np.random.default_rng(seed)) for seed in range(100, 106)]
        return float(np.mean([(run(it.picture)[0, ..., 0] > 0.5) == (it.truth[::2, ::2] == PERSON) for it in views]))

    model, teacher = graph(tmp_path), graph(tmp_path)
    before = agreement(model)
    weights, _ = teaching.teach(
        model, teacher, bright, dataclasses.replace(OPTIONS, truth=1.0, steps=160, rate=0.05), None
    )
    student.write_weights(model, weights)
    assert agreement(model) > before + 0.1, before


def test_a_stopped_lesson_goes_on_where_it_was(tmp_path: Path) -> None:
    """What was stopped half-way and resumed ends with the weights of what ran through."""
    teacher, checkpoint = graph(tmp_path), tmp_path / "kept/state.npz"
    whole, _ = teaching.teach(forgetful(tmp_path), teacher, view, OPTIONS, None)

    class StoppedError(Exception):
        pass

    seen = 0

    def stopping(rng: np.random.Generator) -> LabelledView:
        nonlocal seen
        seen += 1
        if seen > 2 * 40:
            raise StoppedError
        return view(rng)

    with pytest.raises(StoppedError):
        teaching.teach(forgetful(tmp_path), teacher, stopping, OPTIONS, checkpoint)
    with np.load(checkpoint) as notes:
        kept = int(notes["step"])
    assert 0 < kept < 64
    asked = 0

    def counting(rng: np.random.Generator) -> LabelledView:
        nonlocal asked
        asked += 1
        return view(rng)

    resumed, _ = teaching.teach(forgetful(tmp_path), teacher, counting, OPTIONS, checkpoint)
    assert asked == 2 * (64 - kept)
    for name, values in whole.items():
        assert (resumed[name] == values).all(), name


def test_an_operation_without_gradients_is_named(tmp_path: Path) -> None:
    pixels = ops.parameter([1, 65, 65, 3], np.uint8)
    odd = ops.cum_sum(ops.convert(pixels, "f32"), np.array(1))
    with pytest.raises(InputError, match="CumSum"):
        student.Student(ov.Model([ops.result(odd)], [pixels], "odd"))


def test_logits_at_other_places_keep_their_corners() -> None:
    logits = np.arange(25, dtype=np.float32).reshape(5, 5, 1)
    placed = teaching.move_corners(logits, (3, 3))
    assert placed[..., 0].tolist() == logits[::2, ::2, 0].tolist()
