"""Conversion of whole graphs and parts of other formats."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import conversion
from danmatte_workbench.graph.classes import widen_to_two_classes
from danmatte_workbench.graph.cleanup import clean_up
from danmatte_workbench.normalisation import Normalisation
from danmatte_workbench.runtimes import openvino
from tests.workbench import graphs
from tests.workbench.small_graphs import Chain, answer

SHAPE = (1, graphs.SIDE, graphs.SIDE, 3)
F32 = configure(precision="f32")


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graphs.write_onnx(tmp_path_factory.mktemp("onnx") / "a.onnx", names="node_")


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graphs.write_tflite(tmp_path_factory.mktemp("eight") / "a.tflite", bits=8)


@pytest.mark.parametrize("inputs", ["0:node_1", "photo"])
def test_a_cut_graph_takes_pictures_with_channels_last(onnx: Path, tmp_path: Path, inputs: str) -> None:
    artifact = openvino.save(conversion.cut(onnx, inputs=inputs, output="c", shape=SHAPE), tmp_path / "part.xml")
    assert [(port.shape, port.dtype) for port in artifact.inputs] == [(SHAPE, "f32")]
    assert [port.shape for port in artifact.outputs] == [(1, 2, 32, 32)]
    picture = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    (whole,) = conversion.make_source_runner(onnx, F32, shape=SHAPE, answers=("c",))(np.zeros(SHAPE, np.uint8))
    assert whole.shape == openvino.make_runner(artifact.path, F32)(picture).shape


@pytest.mark.parametrize(
    ("inputs", "output", "says"),
    [
        ("0:nod_1", "c", "has no node nod_1|has no node 0:nod_1"),
        ("0:node_1", "larg", "has no node larg; did you mean"),
        ("phot", "c", "has no input phot; give a node's input port as 0:node"),
        ("7:node_1", "c", "has no node 7:node_1"),
    ],
)
def test_an_unknown_place_is_reported_with_the_nearest(onnx: Path, inputs: str, output: str, says: str) -> None:
    with pytest.raises(InputError, match=rf"a\.onnx: ({says})"):
        conversion.cut(onnx, inputs=inputs, output=output, shape=SHAPE)


def test_simulated_8_bits_become_clamps_and_float_weights(eight: Path) -> None:
    model = conversion.load(eight, SHAPE)
    before = [node.get_type_name() for node in model.get_ops()]
    clean_up(model)
    after = [node.get_type_name() for node in model.get_ops()]
    assert before.count("FakeQuantize") > 2
    assert "Clamp" in after
    for node in model.get_ops():
        if node.get_type_name() == "Convolution":
            weights = node.input_value(1).get_node()
            assert (weights.get_type_name(), weights.get_element_type().get_type_name()) == ("Constant", "f32")


def test_one_channel_becomes_the_second_of_two_logits(tmp_path: Path) -> None:
    path = graphs.write_onnx(tmp_path / "one.onnx", "sigmoid")
    picture = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.float32) / 64 - 2
    model = conversion.cut(path, inputs="photo", output="answer", shape=SHAPE)
    probable = openvino.make_runner(openvino.save(model, tmp_path / "one.xml").path, F32)(picture).copy()
    assert widen_to_two_classes(model)
    logits = openvino.make_runner(openvino.save(model, tmp_path / "two.xml").path, F32)(picture)
    assert logits.shape == (1, 2, graphs.SIDE, graphs.SIDE)
    assert np.ptp(probable) > 0.1
    assert np.abs(logits[:, 0]).max() == 0
    assert np.abs(1 / (1 + np.exp(-logits[:, 1])) - probable[:, 0]).max() < 0.02


@pytest.mark.parametrize("end", ["logits", "argmax"])
def test_a_graph_of_several_classes_is_not_widened(tmp_path: Path, end: str) -> None:
    path = graphs.write_onnx(tmp_path / "two.onnx", end)
    found = probe_end(path)
    model = conversion.cut(path, inputs="photo", output=found, shape=SHAPE)
    assert not widen_to_two_classes(model)


def probe_end(path: Path) -> str:
    return conversion.sketch(path, graphs.SIDE).answers[0]


def test_a_graph_that_takes_no_picture_is_refused(tmp_path: Path) -> None:
    given = ops.parameter([1, 7], np.float32, name="row")
    ov.save_model(ov.Model([ops.relu(given)], [given], "row"), tmp_path / "row.xml")
    with pytest.raises(InputError, match=r"row\.xml: expected a picture of three channels as input, found \[1,7\]"):
        conversion.convert(tmp_path / "row.xml", shape=SHAPE)


def test_an_unknown_output_is_reported(onnx: Path) -> None:
    with pytest.raises(InputError, match=r"a\.onnx: has no node nothing"):
        conversion.convert(onnx, shape=SHAPE, answers=("nothing",))


def test_a_built_in_normalisation_gives_the_outputs_of_normalised_pictures(onnx: Path) -> None:
    """With a built-in normalisation, pictures give the same output as normalised floats without it."""
    pixels = np.random.default_rng(2).integers(0, 256, SHAPE, dtype=np.uint8)
    normalisation = Normalisation("BGR", (103.5, 116.25, 123.75), (57.5, 57.0, 58.5))
    inside = conversion.convert(onnx, shape=SHAPE, normalisation=normalisation, answers=("c",))
    outside = conversion.cut(onnx, inputs="photo", output="c", shape=SHAPE)
    expected = answer(outside, normalisation.apply(pixels))
    assert answer(inside, pixels) == pytest.approx(expected, abs=1e-4)


def test_outputs_are_returned_in_the_requested_order(onnx: Path) -> None:
    run = conversion.make_source_runner(onnx, F32, shape=SHAPE, answers=("c", "b"))
    shapes = [found.shape for found in run(np.zeros(SHAPE, np.uint8))]
    assert shapes == [(1, 2, 32, 32), (1, graphs.FEATURES, 32, 32)]


def test_a_graph_is_reshaped_to_the_requested_size(onnx: Path) -> None:
    model = conversion.load(onnx, (1, 96, 128, 3))
    assert list(model.input(0).shape) == [1, 3, 96, 128]


def test_an_impossible_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    chain = Chain(8, 8)
    chain.value = ops.reshape(chain.conv(2, "first").value, np.array([1, 128]), special_zero=False)
    ov.save_model(chain.model(), tmp_path / "flat.xml")
    with pytest.raises(InputError, match=r"flat\.xml: OpenVINO can't read it at 16×16 instead of \[1,3,8,8\]: "):
        conversion.load(tmp_path / "flat.xml", (1, 16, 16, 3))


def test_a_graph_of_two_inputs_is_refused_with_their_names(tmp_path: Path) -> None:
    first, second = (ops.parameter([1, 3, 8, 8], np.float32, name=name) for name in ("left", "right"))
    ov.save_model(ov.Model([ops.result(ops.add(first, second))], [first, second], "two"), tmp_path / "two.xml")
    with pytest.raises(InputError, match=r"two\.xml: expected one input, a picture, found 2: left, right"):
        conversion.load(tmp_path / "two.xml", (1, 8, 8, 3))


@pytest.mark.parametrize(
    ("shape", "suffix", "first"),
    [
        ([1, 3, 8, 8], ".xml", True),
        ([1, 8, 8, 3], ".onnx", False),
        ([-1, -1, -1, 3], ".onnx", False),
        ([-1, -1, -1, -1], ".onnx", True),
        ([-1, -1, -1, -1], ".xml", False),
        ([1, 3, 8, 3], ".onnx", True),
        ([1, 3, 8, 3], ".tflite", False),
        (None, ".onnx", True),
        (None, ".pb", False),
    ],
)
def test_the_channel_axis_follows_from_the_shape_or_else_the_format(shape, suffix: str, first: bool) -> None:
    partial = ov.PartialShape.dynamic() if shape is None else ov.PartialShape(shape)
    port = ops.parameter(partial, np.float32).output(0)
    assert conversion.has_channels_first(port, Path(f"a{suffix}")) is first


@pytest.mark.parametrize("shape", [[1, 7], [1, 4, 8, 8], [1, 2, 3, 4, 5]], ids=str)
def test_an_input_that_cannot_be_a_picture_is_refused(shape: list[int]) -> None:
    with pytest.raises(InputError, match=r"a\.onnx: expected a picture of three channels as input, found"):
        conversion.has_channels_first(ops.parameter(shape, np.float32).output(0), Path("a.onnx"))


def test_a_sketch_describes_the_input_and_the_scores(tmp_path: Path) -> None:
    path = graphs.write_onnx(tmp_path / "i.onnx", "argmax", classes=21)
    found = conversion.sketch(path, graphs.SIDE)
    assert (found.floats, found.channels_first, found.fixed) == (True, True, (graphs.SIDE, graphs.SIDE))
    assert 21 in found.scores
    assert found.picture == "photo"


def test_a_sketch_of_a_graph_of_any_size_has_no_fixed_size(tmp_path: Path) -> None:
    path = graphs.write_onnx(tmp_path / "h.onnx", side=None)
    found = conversion.sketch(path, 48)
    assert found.fixed is None
    assert found.scores == ()


def test_a_feeding_runner_returns_the_input_of_a_port(onnx: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, SHAPE, dtype=np.uint8)
    port = conversion.sketch(onnx, graphs.SIDE).anatomy.find_first_convolution("photo")
    (fed,) = conversion.make_feeding_runner(onnx, str(port), SHAPE)(pixels)
    assert np.array_equal(fed, pixels.astype(np.float32))


def test_a_graph_converted_twice_has_the_same_names(onnx: Path) -> None:
    first, second = (
        [node.get_friendly_name() for node in conversion.load(onnx, SHAPE).get_ordered_ops()] for _ in "ab"
    )
    assert first == second
