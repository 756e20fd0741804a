"""The head: above one half exactly where the network's own decision is the person."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte.contract.grid import Grid
from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import SAMPLES, load
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import conversion, surgery
from danmatte_workbench.runtimes import openvino, tensorflow
from danmatte_workbench.steps import StepContext, make_step
from tests.workbench import small_graphs, tiny
from tests.workbench.conftest import Build, Describe
from tests.workbench.tiny import Tiny

WANTED = [tiny.PLAIN, tiny.VOC, tiny.BGR]


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)
def test_the_probability_of_the_person_follows_tensorflows_logits(
    built: Build, describe: Describe, wanted: Tiny
) -> None:
    source = describe(wanted)
    infer = openvino.make_runner(built(wanted).path, configure(precision="f32"))
    logits = tensorflow.make_runner(source.path, feed=source.picture, fetch="logits/semantic/BiasAdd:0")
    for seed in range(6):
        pixels = tiny.scene(seed, *source.size)[0][None]
        scores = logits(pixels)[0].astype(np.float64)
        margin = scores[..., wanted.person] - np.delete(scores, wanted.person, axis=2).max(axis=2)
        person = infer(pixels)[0, ..., 0]
        assert np.abs(person - 1 / (1 + np.exp(-margin))).max() < 1e-4
        clear = np.abs(margin) > 1e-4
        assert np.array_equal((person > 0.5)[clear], (scores.argmax(axis=2) == wanted.person)[clear])


@pytest.mark.parametrize(
    ("wanted", "place"),
    [(tiny.PLAIN, Grid.align_corners), (tiny.HALVES, Grid.half_pixel), (tiny.LEGACY, Grid.asymmetric)],
    ids=["aligned", "halves", "cornered"],
)
def test_the_grid_is_that_of_the_resize_it_replaces(built: Build, wanted: Tiny, place) -> None:
    assert surgery.read_grid(openvino.read(built(wanted).path)) == place((65, 65), (33, 33))


def test_two_classes_fold_into_one_output_channel(built: Build) -> None:
    nodes = openvino.read(built(tiny.PLAIN).path).get_ordered_ops()
    last = [node for node in nodes if node.get_type_name() == "Convolution"][-1]
    assert list(last.get_output_shape(0)) == [1, 1, 33, 33]
    assert not {"ReduceMax", "Gather", "TopK"} & {node.get_type_name() for node in nodes}


def test_the_output_is_one_probability_at_each_position(built: Build) -> None:
    (port,) = built(tiny.VOC).outputs
    assert (port.name, port.shape, port.dtype) == ("person", (1, 33, 33, 1), "f32")


def test_an_unknown_class_is_refused(built: Build, describe: Describe, tmp_path: Path) -> None:
    source = describe(tiny.PLAIN)
    model = conversion.cut(source.path, inputs=source.port, output=source.node, shape=source.shape)
    with pytest.raises(InputError, match="class 15 isn't one of the graph's 2"):
        surgery.replace_head(model, 15)


def test_a_graph_without_logits_keeps_its_output(built: Build) -> None:
    graph = openvino.read(built(tiny.PLAIN).path)
    picture = tiny.scene(1, 65, 65)[0][None]
    expected = small_graphs.answer(graph, picture)
    headed = surgery.replace_head(graph, 1)
    assert np.array_equal(small_graphs.answer(headed, picture), expected)
    assert surgery.read_grid(headed) == Grid.guess((65, 65), (33, 33))


def end_oddly(kind: str) -> tuple[ov.Model, ov.Model]:
    """Return a graph whose scaled logits become class numbers, probabilities or logits; and the graph of its logits."""
    chain = small_graphs.Chain(16, 16, last=True).conv(3, "stem", side=3, stride=2)
    logits = ops.multiply(chain.value, np.float32(2))
    ends = {
        "logits": logits,
        "softmax": ops.softmax(logits, 1),
        "softmax, channels last": ops.transpose(ops.softmax(logits, 1), np.array([0, 2, 3, 1])),
        "numbers": ops.squeeze(ops.topk(logits, np.int32(1), 1, "max", "none").output(1), np.array([1])),
    }
    odd = ov.Model([ops.result(ends[kind])], [chain.picture], "odd")
    return odd, ov.Model([ops.result(logits)], [chain.picture], "logits").clone()


@pytest.mark.parametrize("kind", ["logits", "softmax", "softmax, channels last", "numbers"])
def test_the_person_is_read_from_outputs_other_than_logits(kind: str) -> None:
    odd, plain = end_oddly(kind)
    picture = small_graphs.noise(odd)
    scores = small_graphs.answer(plain, picture)[0]
    person = small_graphs.answer(surgery.replace_head(odd, 2), picture)
    assert person.shape == (1, 8, 8, 1)
    assert np.array_equal(person[0, ..., 0] > 0.5, scores.argmax(axis=0) == 2)
    assert 0 < (person > 0.5).mean() < 1


def test_an_output_that_is_not_a_map_is_refused() -> None:
    chain = small_graphs.Chain(8, 8, last=True).conv(3, "stem")
    pooled = ops.reduce_mean(ops.multiply(chain.value, np.float32(2)), np.array([2, 3]))
    with pytest.raises(InputError, match="expected a map as the output"):
        surgery.replace_head(ov.Model([ops.result(pooled)], [chain.picture], "pooled"), 1)


def test_softening_flattens_probabilities_without_crossing_one_half(built: Build, tmp_path: Path) -> None:
    model = openvino.read(built(tiny.VOC).path)
    surgery.soften_sigmoid(model, 0.25)
    paths = (built(tiny.VOC).path, openvino.save(model, tmp_path / "soft.xml").path)
    pixels = tiny.scene(1, 65, 65)[0][None]
    sharp, soft = (np.array(openvino.make_runner(path, configure())(pixels)) for path in paths)
    assert np.array_equal(soft > 0.5, sharp > 0.5)
    assert np.allclose(np.log(soft / (1 - soft)), 0.25 * np.log(sharp / (1 - sharp)), atol=1e-3)


def test_only_probabilities_can_be_softened() -> None:
    with pytest.raises(InputError, match="soften: expected a sigmoid at the graph's end, found Add"):
        surgery.soften_sigmoid(small_graphs.Chain(9, 9).conv(1, "logits").model(), 0.5)


def test_picking_selects_the_person_from_the_classes_of_the_output(describe: Describe, tmp_path: Path) -> None:
    source = describe(tiny.VOC)
    context = StepContext(source, load(SAMPLES), tmp_path / "unfinished")
    converted = make_step("convert", {}, source).apply(source.path, tmp_path / "whole.xml", context)[0]
    picked = make_step("pick", {}, source).apply(converted.path, tmp_path / "picked.xml", context)[0]
    whole, person = (openvino.make_runner(item.path, configure(precision="f32")) for item in (converted, picked))
    pixels = tiny.scene(1, *source.size)[0][None]
    assert np.array_equal(person(pixels)[0, ..., 0] > 0.5, whole(pixels)[0].reshape(source.size) == source.person)


@pytest.mark.parametrize("sharpness", [0, -1, 2.0, True])
def test_an_invalid_sharpness_is_refused(describe: Describe, sharpness: float) -> None:
    with pytest.raises(InputError, match="soften: sharpness: expected a number above 0 and up to 1, found"):
        make_step("soften", {"sharpness": sharpness}, describe(tiny.PLAIN))


def test_logits_are_found_before_simulated_quantization() -> None:
    """8-bit graphs round the logits before each resize."""
    chain = small_graphs.Chain(9, 9, last=True).conv(4, "logits")
    ends = [np.full((1, 1, 1, 1), end, np.float32) for end in (-9, 9, -9, 9)]
    chain.value = ops.fake_quantize(chain.value, *ends, 256)
    chain.resize(33, 33)
    headed = surgery.replace_head(chain.model(), 1)
    assert list(headed.output(0).shape) == [1, 9, 9, 1]
