"""Parts of OpenVINO graphs."""

from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import conversion
from danmatte_workbench.graph.classes import widen_to_two_classes
from danmatte_workbench.graph.cleanup import clean_up
from danmatte_workbench.runtimes import openvino
from tests.workbench import graphs

SHAPE = (1, graphs.SIDE, graphs.SIDE, 3)
F32 = configure(precision="f32")


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graphs.write_onnx(tmp_path_factory.mktemp("onnx") / "a.onnx", names="node_")


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graphs.write_tflite(tmp_path_factory.mktemp("eight") / "a.tflite", bits=8)


@pytest.mark.parametrize("inputs", ["0:node_1", "photo"])
def test_a_part_takes_pictures_with_their_channels_last(onnx: Path, tmp_path: Path, inputs: str) -> None:
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
def test_an_unknown_place_names_the_nearest(onnx: Path, inputs: str, output: str, says: str) -> None:
    with pytest.raises(InputError, match=rf"a\.onnx: ({says})"):
        conversion.cut(onnx, inputs=inputs, output=output, shape=SHAPE)


def test_simulated_8_bits_become_ranges_and_plain_weights(eight: Path) -> None:
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
def test_several_classes_stay_as_they_are(tmp_path: Path, end: str) -> None:
    path = graphs.write_onnx(tmp_path / "two.onnx", end)
    found = probe_end(path)
    model = conversion.cut(path, inputs="photo", output=found, shape=SHAPE)
    assert not widen_to_two_classes(model)


def probe_end(path: Path) -> str:
    return conversion.sketch(path, graphs.SIDE).answers[0]


def test_what_takes_no_picture_is_refused(tmp_path: Path) -> None:
    import openvino as ov
    from openvino import opset13 as ops

    given = ops.parameter([1, 7], np.float32, name="row")
    ov.save_model(ov.Model([ops.relu(given)], [given], "row"), tmp_path / "row.xml")
    with pytest.raises(InputError, match=r"row\.xml: expected a picture of three channels as input, found \[1,7\]"):
        conversion.convert(tmp_path / "row.xml", shape=SHAPE)


def test_a_wrong_answer_is_named(onnx: Path) -> None:
    with pytest.raises(InputError, match=r"a\.onnx: has no node nothing"):
        conversion.convert(onnx, shape=SHAPE, answers=("nothing",))
