"""A graph is trained on another one's outputs, without labels; interrupted, it resumes."""

import dataclasses
import threading
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
from danmatte_workbench.graph.fusing import FeaturePair
from danmatte_workbench.graph.layers import extract
from danmatte_workbench.runtimes import openvino
from tests.workbench import inner
from tests.workbench.small_graphs import named

F32 = configure(precision="f32")
OPTIONS = teaching.Distillation(steps=64, batch=2, rate=0.02, features=0.1, eight_bits=0.25, truth=0.0, seed=1)


def picture(rng: np.random.Generator) -> np.ndarray:
    small = rng.integers(0, 256, (1, 9, 9, 3), np.uint8)
    return np.ascontiguousarray(small.repeat(8, axis=1).repeat(8, axis=2)[:, :65, :65])


def view(rng: np.random.Generator) -> LabelledView:
    return LabelledView(picture(rng), np.full((65, 65), IGNORE, np.uint8))


def bright(rng: np.random.Generator) -> LabelledView:
    """Return a view whose truth is where it is bright."""
    seen = picture(rng)
    return LabelledView(seen, np.where(seen[0].mean(axis=2) > 127, PERSON, BACKGROUND).astype(np.uint8))


def graph(folder: Path) -> ov.Model:
    return openvino.read(inner.write(folder / "teacher.xml").path)


def forgetful(folder: Path) -> ov.Model:
    """Return the same graph with noise on its last kernels."""
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


def test_a_student_gives_the_outputs_of_its_graph(tmp_path: Path) -> None:
    model = graph(tmp_path)
    seen = picture(np.random.default_rng(1))
    (logits,) = student.Student(model)(seen)
    run = openvino.make_runner(tmp_path / "teacher.xml", F32)
    assert 1 / (1 + np.exp(-logits.numpy())) == pytest.approx(run(seen), abs=1e-5)


def test_training_brings_a_student_closer_to_its_teacher(tmp_path: Path) -> None:
    model, teacher = forgetful(tmp_path), graph(tmp_path)
    before = disagreement(model, teacher, tmp_path)
    weights, note = teaching.teach(model, teacher, view, OPTIONS, None)
    student.write_weights(model, weights)
    assert disagreement(model, teacher, tmp_path) < 0.5 * before
    assert note.startswith("64 steps of 2 views")


def test_known_masks_override_the_teacher(tmp_path: Path) -> None:
    def agreement(model: ov.Model) -> float:
        run = openvino.make_runner(openvino.save(model.clone(), tmp_path / "candidate.xml").path, F32)
        views = [bright(np.random.default_rng(seed)) for seed in range(100, 106)]
        return float(np.mean([(run(it.picture)[0, ..., 0] > 0.5) == (it.truth[::2, ::2] == PERSON) for it in views]))

    model, teacher = graph(tmp_path), graph(tmp_path)
    before = agreement(model)
    weights, _ = teaching.teach(
        model, teacher, bright, dataclasses.replace(OPTIONS, truth=1.0, steps=160, rate=0.05), None
    )
    student.write_weights(model, weights)
    assert agreement(model) > before + 0.1, before


def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    """A training that was interrupted and resumed ends with the same weights as an uninterrupted one."""
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
    drawn = 0

    def counting(rng: np.random.Generator) -> LabelledView:
        nonlocal drawn
        drawn += 1
        return view(rng)

    resumed, _ = teaching.teach(forgetful(tmp_path), teacher, counting, OPTIONS, checkpoint)
    assert drawn == 2 * (64 - kept)
    for name, values in whole.items():
        assert (resumed[name] == values).all(), name


def test_an_operation_without_gradients_is_reported_by_name(tmp_path: Path) -> None:
    pixels = ops.parameter([1, 65, 65, 3], np.uint8)
    odd = ops.cum_sum(ops.convert(pixels, "f32"), np.array(1))
    with pytest.raises(InputError, match="CumSum"):
        student.Student(ov.Model([ops.result(odd)], [pixels], "odd"))


def test_logits_moved_to_fewer_positions_keep_their_corners() -> None:
    logits = np.arange(25, dtype=np.float32).reshape(5, 5, 1)
    placed = teaching.move_corners(logits, (3, 3))
    assert placed[..., 0].tolist() == logits[::2, ::2, 0].tolist()


def test_the_learning_rate_rises_linearly_and_falls_as_a_cosine() -> None:
    options = dataclasses.replace(OPTIONS, steps=250, rate=0.1)
    rates = [options.compute_rate(step) for step in range(250)]
    peak = teaching.WARM_UP
    assert rates[0] == pytest.approx(0.1 / peak)
    assert np.argmax(rates) in (peak - 1, peak)
    assert np.diff(rates[:peak]) == pytest.approx(0.1 / peak)
    assert (np.diff(rates[peak:]) < 0).all()
    assert rates[peak + 100] == pytest.approx(0.05, abs=1e-3)
    assert 0 < rates[-1] < 0.001


def test_prefetched_values_are_in_order() -> None:
    assert list(teaching.prefetch(lambda number: number**2, range(20))) == [number**2 for number in range(20)]
    assert list(teaching.prefetch(lambda number: number, range(0))) == []


def test_only_a_few_values_are_prefetched() -> None:
    made: list[int] = []
    values = teaching.prefetch(lambda number: made.append(number) or number, range(100))
    assert next(values) == 0
    values.close()
    assert len(made) <= teaching.AHEAD + 2


def test_an_error_of_prefetching_is_raised_at_its_value() -> None:
    def make(number: int) -> int:
        if number == 3:
            raise InputError("frame 3 can't be read")
        return number

    values = teaching.prefetch(make, range(9))
    assert [next(values) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InputError, match="frame 3"):
        next(values)


def test_the_prefetching_thread_ends_with_the_iterator() -> None:
    before = {thread for thread in threading.enumerate() if thread.name.startswith("prefetch")}
    values = teaching.prefetch(lambda number: number, range(100))
    next(values)
    values.close()
    after = {thread for thread in threading.enumerate() if thread.name.startswith("prefetch")}
    assert after == before


def loss(logits: float, right: float, *, places: tuple[int, int] = (8, 8)) -> float:
    shape = (1, *places, 1)
    return float(teaching.compute_answer_loss(np.full(shape, logits, np.float32), np.full(shape, right, np.float32)))


def test_a_certain_and_correct_output_has_no_loss() -> None:
    assert loss(20, 1) == pytest.approx(0, abs=1e-3)
    assert loss(-20, 0) == pytest.approx(0, abs=1e-3)


def test_the_loss_of_a_wrong_output_grows_with_its_certainty() -> None:
    assert loss(0, 0) < loss(2, 0) < loss(5, 0)


def test_missing_a_small_person_costs_almost_as_much_as_a_large_one() -> None:
    def missed(side: int) -> float:
        right = np.zeros((1, 32, 32, 1), np.float32)
        right[:, :side, :side] = 1
        logits = np.full((1, 32, 32, 1), -20, np.float32)
        entropy = 20 * (side / 32) ** 2  # what its places cost one by one
        return float(teaching.compute_answer_loss(logits, right)) - entropy

    assert missed(8) > 0.9 * missed(32)


def test_logits_can_be_moved_to_fewer_and_more_positions() -> None:
    logits = np.linspace(-3, 3, 9 * 5).reshape(9, 5, 1).astype(np.float32)
    for places in ((5, 3), (17, 9), (9, 5)):
        moved = teaching.move_corners(logits, places)
        assert moved.shape == (*places, 1)
        for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
            assert moved[corner] == pytest.approx(logits[corner])


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    checkpoint = tmp_path / "state.npz"
    options = dataclasses.replace(OPTIONS, steps=4)
    first, _ = teaching.teach(forgetful(tmp_path), graph(tmp_path), view, options, checkpoint)

    def refuse(rng: np.random.Generator) -> LabelledView:
        raise AssertionError("a finished training draws no views")

    again, note = teaching.teach(forgetful(tmp_path), graph(tmp_path), refuse, options, checkpoint)
    assert note.startswith("4 steps of 2 views, 0 inner maps")
    for name, values in first.items():
        assert np.array_equal(again[name], values), name


def test_progress_is_printed_with_the_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teaching.teach(forgetful(tmp_path), graph(tmp_path), view, dataclasses.replace(OPTIONS, steps=4), None)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("distil: ")]
    assert [line.partition(",")[0] for line in lines] == [f"distil: step {number} of 4" for number in (1, 2, 3, 4)]


FEATURES = teaching.Distillation(
    steps=40, batch=2, rate=0.05, features=1.0, eight_bits=0.0, truth=0.0, seed=1, answering=False
)


def features(model: ov.Model) -> ov.Model:
    """Return the graph up to the input of its last convolution, as `fuse` cuts it."""
    last = [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"][-1]
    copy = model.clone()
    return extract(copy, [named(copy, last.get_friendly_name()).input_value(0)])


def features_pair(model: ov.Model) -> tuple[FeaturePair, ...]:
    name = model.output(0).get_node().input_value(0).get_node().get_friendly_name()
    return (FeaturePair(name, name),)


def test_a_student_can_be_trained_on_features_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = features(graph(tmp_path))
    smaller = features(forgetful(tmp_path))
    _, note = teaching.teach(smaller, teacher, view, FEATURES, None, features_pair(teacher))
    assert note.startswith("40 steps of 2 views, 1 inner maps, loss ")
    losses = [float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines() if "loss" in line]
    assert losses[-1] < 0.7 * losses[0]


def test_new_kernels_end_as_their_running_mean_which_is_stored(tmp_path: Path) -> None:
    teacher, smaller = features(graph(tmp_path)), features(forgetful(tmp_path))
    checkpoint, pairs = tmp_path / "state.npz", features_pair(teacher)
    options = dataclasses.replace(FEATURES, steps=16)
    whole, _ = teaching.teach(smaller, teacher, view, options, checkpoint, pairs)
    with np.load(checkpoint) as kept:
        arrays = [kept[f"v{number}"] for number in range(len(kept.files) - 1)]
    count = len(whole)
    assert len(arrays) == 4 * count, "weights, two moments and the mean of each"
    weights, means = arrays[:count], arrays[3 * count :]
    assert any(not np.allclose(weight, mean) for weight, mean in zip(weights, means, strict=True))
    again, _ = teaching.teach(smaller, teacher, view, options, checkpoint, pairs)
    for name, values in whole.items():
        assert np.array_equal(again[name], values), name
